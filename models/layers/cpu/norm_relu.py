"""Batch normalisation, rectifier and dropout in one: what the blocks of wide residual networks do between convolutions.

Done one after the other, each keeps its result for the backward pass. What is kept here are the maps before and after alone:
where the result is zero, no gradient flows, whether the rectifier or dropout made it so. That saves memory, and hardly any
time (docs/performance.md). On a GPU it is torch's own operations, one after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.cpu.dropout import Dropout
from models.layers.layout import fold_scales, is_hwnc, unfold_scales, with_pixels_as_images
from models.layers.scale_axis import ScaleBatchNorm


def rectified(norm: nn.Module, maps: Tensor, dropout: Dropout | None = None) -> Tensor:
    """`dropout(F.relu(norm(maps)))`, up to rounding: (N, C, H, W), or (N, C, S, H, W) for ScaleBatchNorm, to the same."""
    if isinstance(norm, ScaleBatchNorm) and _in_one(norm, fold_scales(maps)):
        return unfold_scales(_rectified(norm, fold_scales(maps), dropout), maps.shape[2])
    if isinstance(norm, nn.BatchNorm2d) and _in_one(norm, maps):
        return _rectified(norm, maps, dropout)
    result = F.relu(norm(maps))
    return result if dropout is None else dropout(result)


def _in_one(norm: nn.BatchNorm2d, maps: Tensor) -> bool:
    """Whether it is possible: training on the CPU. On a GPU cuDNN normalises, and what is compiled is fused by itself."""
    ordinary = norm.training and norm.affine and norm.track_running_stats and norm.momentum is not None
    here = maps.device.type == "cpu" and not torch.compiler.is_compiling()
    return ordinary and here and (maps.is_contiguous() or is_hwnc(maps)) and maps.dtype == norm.weight.dtype


def _rectified(norm: nn.BatchNorm2d, maps: Tensor, dropout: Dropout | None) -> Tensor:
    if is_hwnc(maps):
        return with_pixels_as_images(lambda images: _rectified(norm, images, dropout), maps)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    factors = None if dropout is None else dropout.draw(maps)
    scale = 1.0 if dropout is None or factors is None else 1 / (1 - dropout.p)
    result: Tensor = _Rectified.apply(maps, norm.weight, norm.bias, norm, factors, scale)
    return result


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, factors: Tensor | None, scale: float
    ) -> Tensor:
        running = norm.running_mean, norm.running_var
        result, *statistics = torch.native_batch_norm(maps, weight, bias, *running, True, norm.momentum or 0.0, norm.eps)
        result.relu_()
        if factors is not None:  # 0 or `scale`
            result.mul_(factors)
        ctx.save_for_backward(maps, weight, result, *statistics)
        ctx.eps, ctx.scale = norm.eps, scale
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None, None]:
        maps, weight, result, *statistics = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], result, 0)
        if ctx.scale != 1:
            passed.mul_(ctx.scale)
        wanted = [ctx.needs_input_grad[0], True, True]
        of_maps, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            passed, maps, weight, None, None, *statistics, True, ctx.eps, wanted
        )
        return of_maps, of_weight, of_bias, None, None, None
