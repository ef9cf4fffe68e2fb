"""The maximum over scales.

Shape letters: N batch, C channels, S scales, H, W map.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from models.layers.launches import few_launches
from models.layers.layout import from_hwnc, is_hwnc, to_hwnc


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
