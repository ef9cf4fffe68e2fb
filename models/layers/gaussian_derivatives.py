"""Derivatives of maps: correlation of every channel with the derivatives of a Gaussian, sampled on 7 x 7 pixels.

A derivative is a pass along rows' direction and one along columns', each with a function of 7 taps; all five share the first
passes. A pass is a depthwise convolution of one row or column of taps where that is fast (oneDNN in float32: 63 operations per
value for all five, and half the time of matrices on maps of 56 pixels), else a product with a banded matrix, one launch.

Maps are pixels here, (N, H, W, C) with channels innermost: passes then work on long rows, and 1 x 1 convolutions are matrix
products. Shape letters: N batch, C channels, H, W map, F = 6 derivatives, itself the first.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.separable import banded, values_of

Taps = tuple[float, ...]  # at the offsets -3 .. 3

SHAPE = 0.99  # epsilon: the Gaussian is exp(-(epsilon t)^2), its standard deviation 0.71 pixels
REACH = 3
NAMES = ("u", "r", "c", "rr", "rc", "cc")  # of the derivatives; r: down the rows, c: along the columns
FUNCTIONS = len(NAMES)


class Functions(NamedTuple):
    """The Gaussian and its first two derivatives in one dimension, `slope` along columns; `upwards`: along rows, turned up."""

    smooth: Taps
    slope: Taps
    curve: Taps

    @property
    def upwards(self) -> Taps:
        return tuple(-value for value in self.slope)

    def adjoint(self) -> Functions:
        """Those of the transposed passes: the taps in reverse."""
        return Functions(*(taps[::-1] for taps in self))


def gaussian(zero_mean: bool = False) -> Functions:
    """a(t) = exp(-eps^2 t^2), a' and a''. `zero_mean`: of a'' so much of a is taken off that its seven values sum to 0."""
    squared, offsets = SHAPE**2, range(-REACH, REACH + 1)
    smooth = [math.exp(-squared * t * t) for t in offsets]
    slope = [-2 * squared * t * a for t, a in zip(offsets, smooth, strict=True)]
    curve = [(4 * squared**2 * t * t - 2 * squared) * a for t, a in zip(offsets, smooth, strict=True)]
    if zero_mean:
        share = math.fsum(curve) / math.fsum(smooth)
        curve = [value - share * a for value, a in zip(curve, smooth, strict=True)]
    return Functions(tuple(smooth), tuple(slope), tuple(curve))


def kernels(functions: Functions) -> Tensor:
    """kr, kc, krr, kcc as filters: float64 (4, 7, 7), not normalised."""
    smooth, slope, curve, upwards = (torch.tensor(taps, dtype=torch.float64) for taps in (*functions, functions.upwards))
    pairs = ((upwards, smooth), (smooth, slope), (curve, smooth), (smooth, curve))
    return torch.stack([torch.outer(down, along) for down, along in pairs])


def derivatives(pixels: Tensor, functions: Functions) -> list[Tensor]:
    """(N, H, W, C) -> r, c, rr, rc = kr (kc u), cc of the same shape; every pass takes zeros outside the map."""
    r, c, rr, cc = _one_kernel_each(pixels, functions)
    return [r, c, rr, _along_columns(_along_rows(c, functions.upwards), functions.smooth), cc]


def transposed_derivatives(pixels: Tensor, functions: Functions) -> list[Tensor]:
    """What the transposes of the five maps of `derivatives` make of one and the same map: each (N, H, W, C)."""
    turned = functions.adjoint()
    r, c, rr, cc = _one_kernel_each(pixels, turned)
    return [r, c, rr, _along_columns(_along_rows(r, turned.smooth), turned.slope), cc]


def _one_kernel_each(pixels: Tensor, functions: Functions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """r, c, rr, cc."""
    smooth, slope, curve = functions
    even = _along_rows(pixels, smooth)
    r, rr = (_along_columns(_along_rows(pixels, taps), smooth) for taps in (functions.upwards, curve))
    return r, _along_columns(even, slope), rr, _along_columns(even, curve)


# --------------------------------------------------------------------------------------------------------------- passes


def _along_rows(pixels: Tensor, taps: Taps) -> Tensor:
    """Correlate each column of pixels, from one row to the next: (N, H, W, C) -> the same."""
    if in_onednn(pixels):
        return _convolved(pixels, taps, (len(taps), 1))
    matrix = banded((taps,), pixels.shape[1], 1, pixels.dtype, pixels.device)
    return torch.bmm(matrix.expand(len(pixels), -1, -1), pixels.flatten(2)).view(pixels.shape)


def _along_columns(pixels: Tensor, taps: Taps) -> Tensor:
    """Correlate each row of pixels: (N, H, W, C) -> the same."""
    if in_onednn(pixels):
        return _convolved(pixels, taps, (1, len(taps)))
    matrix = banded((taps,), pixels.shape[2], 1, pixels.dtype, pixels.device)
    rows = pixels.flatten(0, 1)
    return torch.bmm(matrix.expand(len(rows), -1, -1), rows).view(pixels.shape)


def in_onednn(pixels: Tensor) -> bool:
    """Whether oneDNN convolves them: float32 on a CPU."""
    return pixels.device.type == "cpu" and pixels.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def _convolved(pixels: Tensor, taps: Taps, extents: tuple[int, int]) -> Tensor:
    channels = pixels.shape[3]
    kernel = values_of((taps,), pixels.dtype, pixels.device).view(1, 1, *extents).expand(channels, -1, -1, -1)
    margins = (extents[0] // 2, extents[1] // 2)
    return F.conv2d(pixels.permute(0, 3, 1, 2), kernel, padding=margins, groups=channels).permute(0, 2, 3, 1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def matrices(functions: Functions, extents: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """What u and its derivatives do along rows and along columns: (F, H, H) and (F, W, W); rc has two passes along each."""
    smooth, slope, curve = range(3)
    height, width = (banded(functions, extent, 1, torch.float64, torch.device("cpu")) for extent in extents)
    same, upwards, across = (
        torch.eye(extents[0], dtype=torch.float64),
        -height[slope],
        torch.eye(extents[1], dtype=torch.float64),
    )
    along_rows = [same, upwards, height[smooth], height[curve], upwards @ height[smooth], height[smooth]]
    along_columns = [across, width[smooth], width[slope], width[smooth], width[smooth] @ width[slope], width[curve]]
    down, along = (torch.stack(stack).to(device=device, dtype=dtype) for stack in (along_rows, along_columns))
    return down, along
