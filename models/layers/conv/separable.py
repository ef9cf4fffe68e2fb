"""Convolution with filters that combine a few products of a row function and a column function.

sum_ab w[o, c, a, b] rows[a] x columns[b]: instead of making the K x K filters, correlate the maps with the A row functions and
the B column functions and combine the A*B results, one matrix product over C*A*B channels. That takes A*B operations per
weight and pixel where the filters take K*K, and the weights are used as they are: it suits small batches of wide maps.

Correlation with the functions is a product with a banded matrix along each axis, zero padding and stride included. One column
function at a time, so that the largest tensor is A times the maps; what the backward pass needs of them is made again there.
Maps are in HWNC layout (layout.py), so that all these products have long rows.

Shape letters: N batch, C channels in, O channels out, H, W map, H', W' result, A row functions, B column functions, K taps.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from models.layers.conv import Sizes
from models.layers.layout import from_hwnc, to_hwnc

Functions = tuple[tuple[float, ...], ...]  # each a function's values at its K taps, K odd


def functions_of(values: Tensor) -> Functions:
    """Float64 (A, K) -> the same as numbers."""
    return tuple(tuple(function) for function in values.tolist())


@lru_cache(maxsize=256)
def without_common_zeros(functions: Functions) -> tuple[Functions, int]:
    """The functions cut to the taps that any of them uses, and how many of these come before the centre."""
    used = [tap for tap, values in enumerate(zip(*functions, strict=True)) if any(values)]
    first, last = used[0], used[-1]
    return tuple(function[first : last + 1] for function in functions), len(functions[0]) // 2 - first


def compose(weight: Tensor, rows: Functions, columns: Functions) -> Tensor:
    """The filters themselves: (O, C, A, B) -> (O, C, K, K')."""
    along_rows, along_columns = (values_of(functions, weight.dtype, weight.device) for functions in (rows, columns))
    return along_rows.mT @ (weight @ along_columns)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def values_of(functions: Functions, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The functions as a tensor (A, K), copied to the device once: a step that did so could not be captured in a CUDA graph."""
    return torch.tensor(functions, dtype=torch.float64).to(device=device, dtype=dtype)


def separable_cost(sizes: Sizes, functions: tuple[int, int], stride: int) -> tuple[int, int]:
    """Real operations of a forward pass: of the combination, and of the correlations with rows and columns."""
    batch, channels_in, channels_out, (height, width) = sizes
    a, b = functions
    high, wide = math.ceil(height / stride), math.ceil(width / stride)
    combination = 2 * batch * channels_in * channels_out * high * wide * a * b
    return combination, 2 * batch * channels_in * a * high * width * (height + b * wide)


def separable_conv2d(maps: Tensor, weight: Tensor, rows: Functions, columns: Functions, stride: int = 1) -> Tensor:
    """Convolve (N, C, H, W) with the filters of weight (O, C, A, B) -> (N, O, ceil(H/stride), ceil(W/stride)).

    Zero padding (K-1)/2. Equal to torch's `conv2d` with `compose(weight, rows, columns)` up to rounding. In HWNC layout,
    the result and best the maps too.
    """
    if torch.is_autocast_enabled(maps.device.type):
        kind = torch.get_autocast_dtype(maps.device.type)
        maps, weight = maps.to(kind), weight.to(kind)
    height, width = maps.shape[2:]
    along_rows = banded(rows, height, stride, maps.dtype, maps.device)
    along_columns = banded(columns, width, stride, maps.dtype, maps.device)
    combinations = weight.permute(3, 2, 1, 0).contiguous()  # (B, A, C, O), copied once
    result: Tensor = _SeparableConv.apply(to_hwnc(maps), combinations, along_rows, along_columns)
    return from_hwnc(result)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def banded(functions: Functions, extent: int, stride: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Correlation of an axis of `extent` pixels with each function at every `stride`-th pixel: (A, H', H)."""
    values = torch.tensor(functions, dtype=torch.float64)
    taps, outputs = values.shape[1], math.ceil(extent / stride)
    matrix = torch.zeros(len(values), outputs, extent, dtype=torch.float64)
    for output in range(outputs):
        first = output * stride - taps // 2
        begin, end = max(0, first), min(extent, first + taps)
        matrix[:, output, begin:end] = values[:, begin - first : end - first]
    return matrix.to(device=device, dtype=dtype)


class _SeparableConv(torch.autograd.Function):
    """(H, W, N, C) and (B, A, C, O) -> (H', W', N, O)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, combinations: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
        ctx.save_for_backward(pixels, combinations)
        ctx.matrices = along_rows, along_columns
        by_row = _by_row(pixels, along_rows)
        result: Tensor | None = None
        for weights, matrix in zip(combinations, along_columns, strict=True):
            for seen, weight in zip(_by_column(by_row, matrix, *weights.shape[:2]), weights, strict=True):
                result = seen @ weight if result is None else result.addmm_(seen, weight)
        assert result is not None
        return result.view(along_rows.shape[1], along_columns.shape[1], pixels.shape[2], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        pixels, combinations = ctx.saved_tensors
        along_rows, along_columns = ctx.matrices
        by_row, gradient = _by_row(pixels, along_rows), gradients[0].flatten(0, 2)
        gradient = gradient.expand(combinations.shape[1], -1, -1)
        of_weights, of_rows = torch.empty_like(combinations), None
        for index, (weights, matrix) in enumerate(zip(combinations, along_columns, strict=True)):
            seen = _by_column(by_row, matrix, *weights.shape[:2])
            of_weights[index] = torch.bmm(seen.mT, gradient)
            if ctx.needs_input_grad[0]:
                of_seen = torch.bmm(gradient, weights.mT).view(len(by_row), len(matrix), -1)
                matrices = matrix.mT.expand(len(by_row), -1, -1)
                of_rows = torch.bmm(matrices, of_seen) if of_rows is None else of_rows.baddbmm_(matrices, of_seen)
        if of_rows is None:
            return None, of_weights, None, None
        of_maps = along_rows.flatten(0, 1).mT @ of_rows.view(len(of_rows), -1)
        return of_maps.view(pixels.shape), of_weights, None, None


def _by_row(pixels: Tensor, along_rows: Tensor) -> Tensor:
    """(H, W, N, C) -> (A*H', W, N*C)."""
    return (along_rows.flatten(0, 1) @ pixels.flatten(1)).view(-1, pixels.shape[1], pixels.shape[2] * pixels.shape[3])


def _by_column(by_row: Tensor, matrix: Tensor, functions: int, channels: int) -> Tensor:
    """(A*H', W, N*C) and one function's (W', W) -> (A, H'*W'*N, C)."""
    correlated: Tensor = torch.bmm(matrix.expand(len(by_row), -1, -1), by_row)
    return correlated.view(functions, -1, channels)
