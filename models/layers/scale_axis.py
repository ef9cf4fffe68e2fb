"""Working on maps with a scale axis, (N, C, S, H, W).

What treats every scale alike (spatial pooling, normalisation with statistics over scales) is the ordinary 2-D operation with
the scales folded into the batch. Layers that make such maps lay the scales out outermost in memory, so folding copies nothing.

Shape letters: N batch, C channels, S scales, H, W map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.layers.launches import few_launches
from models.layers.layout import BatchNorm2d, MaxPool2d, concatenate, from_hwnc, is_hwnc, lies_together, to_hwnc
from models.layers.max_over_scales import first_maximum, largest


def stack_scales(maps: Sequence[Tensor]) -> Tensor:
    """S maps (N, C, H, W) -> (N, C, S, H, W), scales outermost in memory or, if the maps' pixels are, just inside these."""
    if all(is_hwnc(one) for one in maps):
        return unfold_scales(concatenate(maps, dim=0), len(maps))
    if all(one.is_contiguous(memory_format=torch.channels_last) for one in maps):
        return torch.stack([one.permute(0, 2, 3, 1) for one in maps]).permute(1, 4, 0, 2, 3)
    return torch.stack(list(maps)).permute(1, 2, 0, 3, 4)


def neighbouring_scales(maps: Tensor, scales: int, extent: int) -> list[Tensor]:
    """What output scale s of a convolution of `extent` scales sees of (N, C, S, H, W), for s = 0 .. scales-1.

    Scales s to s+extent-1, as far as there are so many of the first `scales`, concatenated as channels: (N, reach*C, H, W).
    """
    # Unbound once, for slices would each cost a map of zeros in the backward pass; gradients come together in the same layout.
    folded = fold_scales(maps)
    if lies_together(folded):
        levels = [from_hwnc(level) for level in to_hwnc(folded).unflatten(2, (maps.shape[2], -1)).unbind(2)][:scales]
    else:
        levels = list(maps.movedim(2, 0).unbind(0)[:scales])
    return [levels[s] if extent == 1 else concatenate(levels[s : s + extent], dim=1) for s in range(scales)]


def fold_scales(maps: Tensor) -> Tensor:
    """(N, C, S, H, W) -> (S*N, C, H, W)."""
    return maps.permute(2, 0, 1, 3, 4).flatten(0, 1)


def unfold_scales(maps: Tensor, scales: int) -> Tensor:
    """(S*N, C, H, W) -> (N, C, S, H, W), scales outermost in memory."""
    by_scale: Tensor = maps.unflatten(0, (scales, -1))
    return by_scale.permute(1, 2, 0, 3, 4)


def stacked(maps: Tensor | Sequence[Tensor]) -> Tensor:
    """S maps (N, C, H, W), unless they are stacked already -> (N, C, S, H, W)."""
    return maps if isinstance(maps, Tensor) else stack_scales(maps)


def pool_scales(maps: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """`pool`, (N, C, H, W) -> (N, C, H', W'), at every scale of (N, C, S, H, W) at once."""
    pixels = maps.permute(3, 4, 0, 2, 1)
    if pixels.is_contiguous():  # scales beside channels, as one convolution with all scales' filters leaves them (bank.py)
        pooled = to_hwnc(pool(from_hwnc(pixels.flatten(3))))
        by_scale: Tensor = pooled.unflatten(3, (maps.shape[2], -1))
        return by_scale.permute(2, 4, 3, 0, 1)
    return unfold_scales(pool(fold_scales(maps)), maps.shape[2])


def largest_response(responses: Tensor | Sequence[Tensor], pool: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The maximum of S pooled (N, C, H, W), stacked or not, and which attains it first -> (N, C, H', W') twice."""
    if isinstance(responses, Tensor) or few_launches(responses[0]):
        return largest(pool_scales(stacked(responses), pool))
    return first_maximum([pool(response) for response in responses])


class ScaleMaxPool(nn.Module):
    """Spatial max pooling at every scale: `pool` applied to (N, C, H, W) at each scale of (N, C, S, H, W)."""

    def __init__(self, pool: MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, S, H, W) -> (N, C, S, H', W')."""
        return unfold_scales(self.pool(fold_scales(maps)), maps.shape[2])


class ScaleBatchNorm(BatchNorm2d):
    """Batch normalisation with statistics over batch, scales and pixels (torch's BatchNorm3d): (N, C, S, H, W) -> same."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each channel."""
        return unfold_scales(super().forward(fold_scales(maps)), maps.shape[2])


class ScaleProjection(nn.Module):
    """The maximum over scales: (N, C, S, H, W) -> (N, C, H, W)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maximum over the scale axis; its gradient goes to the scale that attains it."""
        return largest(maps)[0]
