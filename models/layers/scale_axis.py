"""Working on maps with a scale axis, (N, C, S, H, W).

What treats every scale alike (spatial pooling, normalisation with statistics over scales) is the ordinary 2-D operation with
the scales folded into the batch. Layers that make such maps lay the scales out outermost in memory, so folding copies nothing.

Shape letters: N batch, C channels, S scales, H, W map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.pixels import BatchNorm2d, MaxPool2d, as_maps, concatenate, has_pixels_first, lies_together, pixels_first


def stack_scales(maps: Sequence[Tensor]) -> Tensor:
    """S maps (N, C, H, W) -> (N, C, S, H, W), scales outermost in memory or, if the maps' pixels are, just inside these."""
    if all(has_pixels_first(one) for one in maps):
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
        levels = [as_maps(level) for level in pixels_first(folded).unflatten(2, (maps.shape[2], -1)).unbind(2)][:scales]
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


def first_maximum(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The elementwise maximum of S equal-sized maps and which of them attains it first (uint8).

    As `torch.stack(maps).max(dim=0)`, but for the backward pass it keeps one byte per element and no copy of the maps.
    """
    if any(has_pixels_first(one) for one in maps):
        maps = [as_maps(pixels_first(one)) for one in maps]
    result: tuple[Tensor, Tensor] = _FirstMaximum.apply(*maps)
    return result


class _FirstMaximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *maps: Tensor) -> tuple[Tensor, Tensor]:
        best, which = maps[0].clone(), torch.zeros_like(maps[0], dtype=torch.uint8)
        for s, candidate in enumerate(maps[1:], start=1):
            larger = (candidate > best).view(torch.uint8).mul_(s)
            torch.maximum(which, larger, out=which)  # s only ever grows
            torch.maximum(best, candidate, out=best)
        ctx.mark_non_differentiable(which)
        ctx.save_for_backward(which)
        ctx.count = len(maps)
        return best, which

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        (which,) = ctx.saved_tensors
        # Three times as fast as products with boolean masks: peel off, scale by scale, what belongs to coarser ones.
        level, rest, result = which.to(gradients[0].dtype), gradients[0], []
        for s in range(1, ctx.count):
            coarser = torch.ops.aten.threshold_backward(rest, level, s - 0.5)
            result.append(rest - coarser)
            rest = coarser
        return *result, rest


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
        return maps.max(dim=2).values
