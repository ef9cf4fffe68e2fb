"""Convolution of a resampled map, resampled back: y = after * conv(before * x), both resamplings linear and separable.

Networks that rescale their input to several sizes spend their time here, and most of that work is never looked at: a map
enlarged to 93 pixels is cropped to 28, a response enlarged from 28 to 93 pixels is cropped to its central 10. Per axis, a
`ResampledAxis` keeps the part of the resampled map that reaches the output, zero padding included. The convolution then runs
either directly between four small matrix products, or in the Fourier domain, where the resamplings are folded into the
transforms and cost nothing: maps are never made at the resampled size.

Shape letters: N batch, C channels in, O channels out, H, W map, k filter size.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.convolution import DIRECT_ADVANTAGE
from models.layers.fourier import cost, exponentials, real_synthesis, spectral_products, transform


class ResampledAxis:
    """One axis: H samples -> `before` -> zero padding (k-1)/2, k taps, `stride` -> `after` -> H' samples.

    `before` is float64 (h, H), `after` float64 (H', ceil(h / stride)); see resampling.py.
    """

    def __init__(self, before: Tensor, after: Tensor, taps: int, stride: int = 1) -> None:
        read = after.abs().sum(dim=0).nonzero()
        first, last = int(read.min()), int(read.max())
        padded = F.pad(before, (0, 0, taps // 2, taps // 2))
        self.before = padded[first * stride : last * stride + taps]
        self.after = after[:, first : last + 1]
        self.taps, self.stride = taps, stride
        # What a circular convolution of this period wraps around meets padding only.
        filled = self.before.abs().sum(dim=1).nonzero()
        self.period = max(len(self.before) - 1 - int(filled.min()), int(filled.max())) + 1

    @property
    def extent_in(self) -> int:
        """H: samples of the map."""
        return self.before.shape[1]

    @property
    def extent_out(self) -> int:
        """H': samples of the result."""
        return len(self.after)


def resampled_conv2d(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    """Resample (N, C, H, W), convolve with (O, C, k, k), resample back -> (N, O, H', W')."""
    if _fourier_pays(maps, filters, rows, columns):
        return _in_fourier_domain(maps, filters, rows, columns)
    return resampled_conv2d_direct(maps, filters, rows, columns)


def resampled_conv2d_direct(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    """The same by two matrix products, torch's `conv2d`, and two matrix products."""
    kind = (maps.dtype, maps.device)
    resampled = _matrix(rows, "before", *kind) @ (maps @ _matrix(columns, "before", *kind).mT)
    responses = F.conv2d(resampled, filters, stride=(rows.stride, columns.stride))
    return _matrix(rows, "after", *kind) @ responses @ _matrix(columns, "after", *kind).mT


def _in_fourier_domain(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    kind = (maps.dtype, maps.device)
    before = (_matrix(rows, "analysis", *kind), _matrix(columns, "half analysis", *kind))
    p, r = rows.period, columns.period // 2 + 1
    at_rows = exponentials(p, range(rows.taps), p, +1, *kind)
    at_columns = exponentials(r, range(columns.taps), columns.period, +1, *kind)
    responses = transform(filters, at_rows, at_columns)
    after = (_matrix(rows, "synthesis", *kind), _matrix(columns, "half synthesis", *kind))
    return spectral_products(maps, before, [responses], after)[0]


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def _matrix(axis: ResampledAxis, which: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One of an axis' matrices, made in float64 and rounded once."""
    cpu, period, half = torch.device("cpu"), axis.period, axis.period // 2 + 1
    padded, responses = range(len(axis.before)), axis.after.shape[1]
    if which == "before":
        matrix = axis.before
    elif which == "after":
        matrix = axis.after
    elif which.endswith("analysis"):
        frequencies = half if which.startswith("half") else period
        matrix = exponentials(frequencies, padded, period, -1, torch.float64, cpu) @ axis.before.to(torch.complex128)
    elif which == "synthesis":
        waves = exponentials(period, range(responses), period, +1, torch.float64, cpu)
        matrix = axis.after.to(torch.complex128) @ waves.mT / period
    else:
        matrix = real_synthesis(period, responses, torch.float64, cpu) @ axis.after.mT
    return matrix.to(device=device, dtype=dtype.to_complex() if matrix.is_complex() else dtype)


def _fourier_pays(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> bool:
    if maps.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(maps.device.type):
        return False
    if rows.stride != 1 or columns.stride != 1:
        return False
    (batch, channels_in), channels_out = maps.shape[:2], len(filters)
    extents_in, extents_out = (rows.extent_in, columns.extent_in), (rows.extent_out, columns.extent_out)
    (high, wide), (height, width) = (len(rows.before), len(columns.before)), extents_in
    resampling = 2 * batch * channels_in * (height * width * wide + high * height * wide)
    high, wide, (height, width) = rows.after.shape[1], columns.after.shape[1], extents_out
    resampling += 2 * batch * channels_out * (height * high * wide + height * width * wide)
    convolution = 2 * batch * channels_in * channels_out * high * wide * rows.taps * columns.taps
    fourier = cost(
        *(batch, channels_in, channels_out, extents_in, extents_out),
        taps=[(rows.taps, columns.taps)],
        periods=(rows.period, columns.period),
    )
    return convolution + DIRECT_ADVANTAGE * resampling > DIRECT_ADVANTAGE * fourier
