"""Working on maps with a scale axis, (N, C, S, H, W), and the maximum over scales.

What treats every scale alike (spatial pooling, normalisation with statistics over scales) is the ordinary 2-D operation with
the scales folded into the batch.

Shape letters: N batch, C channels, S scales, H, W map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.launches import few_launches
from models.layers.layout import concatenate, fold_scales, from_hwnc, is_hwnc, lies_together, to_hwnc, unfold_scales
from models.layers.plain import BatchNorm2d


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


def stacked(maps: Tensor | Sequence[Tensor]) -> Tensor:
    """S maps (N, C, H, W), unless they are stacked already -> (N, C, S, H, W)."""
    return maps if isinstance(maps, Tensor) else stack_scales(maps)


def pool_scales(maps: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """`pool`, (N, C, H, W) -> (N, C, H', W'), at every scale of (N, C, S, H, W) at once."""
    pixels = maps.permute(3, 4, 0, 2, 1)
    if pixels.is_contiguous():  # scales beside channels, as conv/fourier_bank.py leaves them
        pooled = to_hwnc(pool(from_hwnc(pixels.flatten(3))))
        by_scale: Tensor = pooled.unflatten(3, (maps.shape[2], -1))
        return by_scale.permute(2, 4, 3, 0, 1)
    return unfold_scales(pool(fold_scales(maps)), maps.shape[2])


def largest_response(responses: Tensor | Sequence[Tensor], pool: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The maximum of S pooled (N, C, H, W), stacked or not, and which attains it first -> (N, C, H', W') twice."""
    if isinstance(responses, Tensor) or few_launches(responses[0]):
        return largest(pool_scales(stacked(responses), pool))
    return first_maximum([pool(response) for response in responses])


# ------------------------------------------------------------------------------------------------------- the maximum


def first_maximum(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The elementwise maximum of S equal-sized maps and which of them attains it first (uint8).

    As `torch.stack(maps).max(dim=0)`, but for the backward pass it keeps one byte per element and no copy of the maps.
    """
    if any(is_hwnc(one) for one in maps):
        maps = [from_hwnc(to_hwnc(one)) for one in maps]
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


def largest(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum over scales and which scale attains it first: (N, C, S, H, W) -> (N, C, H, W), float and int64.

    The gradient goes to that scale. As `maps.max(dim=2)`, whose backward pass scatters, and on a GPU sorts all places first
    where it is to be deterministic.
    """
    if maps.device.type == "cpu" and not few_launches(maps):
        values, which = maps.max(dim=2)
        return values, which
    order = sorted(range(maps.ndim), key=maps.stride, reverse=True)  # as they lie in memory, which the result then does too
    values, which = _Largest.apply(maps.permute(order), order.index(2))
    rest = [axis for axis in order if axis != 2]
    back = [rest.index(axis) for axis in range(maps.ndim) if axis != 2]
    return values.permute(back), which.permute(back)


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        values, which = maps.max(dim=axis)
        ctx.mark_non_differentiable(which)
        ctx.save_for_backward(which)
        ctx.axis, ctx.scales = axis, maps.shape[axis]
        return values, which

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (which,) = ctx.saved_tensors
        axis = ctx.axis
        numbers = _numbers(ctx.scales, which.device).view(-1, *[1] * (which.ndim - axis))
        return gradients[0].unsqueeze(axis) * (which.unsqueeze(axis) == numbers), None


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def _numbers(count: int, device: torch.device) -> Tensor:
    return torch.arange(count).to(device)


# ------------------------------------------------------------------------------------------------------------ layers


class ScalePool(nn.Module):
    """Spatial pooling at every scale: `pool` applied to (N, C, H, W) at each scale of (N, C, S, H, W)."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, S, H, W) -> (N, C, S, H', W')."""
        return unfold_scales(self.pool(fold_scales(maps)), maps.shape[2])


class ScaleBatchNorm(BatchNorm2d):
    """Batch normalisation with statistics over batch, scales and pixels (torch's BatchNorm3d): (N, C, S, H, W) -> same."""

    def forward(self, maps: Tensor) -> Tensor:
        return unfold_scales(super().forward(fold_scales(maps)), maps.shape[2])


class ScaleProjection(nn.Module):
    """The maximum over scales: (N, C, S, H, W) -> (N, C, H, W)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maximum over the scale axis; its gradient goes to the scale that attains it."""
        return largest(maps)[0]
