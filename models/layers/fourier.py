"""Convolution as a product in the Fourier domain, with discrete Fourier transforms written as matrix products.

A same-size convolution of an H-pixel axis with a filter reaching r pixels to each side is circular with period H + r: what
wraps around falls outside the H pixels that are kept. Periods are small and odd sizes are common (35, 21, 13), where a
matrix product beats a fast transform; one axis after the other, so that its cost stays far below the convolution's.

The matrices are made in float64 and rounded once.

Shape letters: N batch, C channels in, O channels out, H, W map, P, Q periods, R = Q//2 + 1 real frequencies of the second axis.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def _period(extent: int, taps: int, dilation: int) -> int:
    return extent + dilation * (taps // 2)


def fourier_cost(
    batch: int, channels_in: int, channels_out: int, extents: tuple[int, int], taps: tuple[int, int], dilation: int = 1
) -> int:
    """Real operations of one forward pass of `fourier_conv2d` (a complex multiply-add counts 8)."""
    (height, width), (rows, columns) = extents, taps
    p, q = _period(height, rows, dilation), _period(width, columns, dilation)
    r = q // 2 + 1
    maps = 4 * height * width * r + 8 * p * height * r
    filters = 4 * rows * columns * r + 8 * p * rows * r
    product = 8 * p * r * batch * channels_in * channels_out
    return product + batch * (channels_in + channels_out) * maps + channels_in * channels_out * filters


def fourier_conv2d(maps: Tensor, filters: Tensor, dilation: int = 1) -> Tensor:
    """Convolve (N, C, H, W) with (O, C, kh, kw), odd sizes, zero padding dilation * (k-1)/2, stride 1 -> (N, O, H, W).

    Equal to torch's `conv2d` up to rounding, in float32 or float64.
    """
    (batch, channels_in, height, width), (channels_out, _, rows, columns) = maps.shape, filters.shape
    p, q = _period(height, rows, dilation), _period(width, columns, dilation)
    r = q // 2 + 1

    spectra = _transform(maps, p, q, range(height), range(width), sign=-1)
    # Cross-correlation: the filter's transform is taken with the opposite sign, its centre at the origin.
    responses = _transform(filters, p, q, _places(rows, dilation), _places(columns, dilation), sign=+1)
    product = torch.bmm(spectra.view(p * r, batch, channels_in), responses.view(p * r, channels_out, channels_in).mT)

    synthesis = _exponentials(p, range(height), p, +1, maps.dtype, maps.device).mT / p
    by_row = (synthesis @ product.view(p, r * batch * channels_out)).view(height, r, batch, channels_out)
    pairs = torch.view_as_real(by_row.permute(2, 3, 0, 1).contiguous()).view(-1, 2 * r)
    return (pairs @ _real_synthesis(q, width, maps.dtype, maps.device)).view(batch, channels_out, height, width)


def _places(taps: int, dilation: int) -> range:
    """Where the taps of a filter stand, its centre at 0."""
    return range(-dilation * (taps // 2), dilation * (taps // 2) + 1, dilation)


def _transform(values: Tensor, p: int, q: int, at_rows: range, at_columns: range, sign: int) -> Tensor:
    """Transform real (A, B, rows, columns) -> complex (P, R, A, B); where rows and columns stand in the period is given."""
    a, b, rows, columns = values.shape
    r = q // 2 + 1
    along_columns = _exponentials(r, at_columns, q, sign, values.dtype, values.device)
    pairs = torch.view_as_real(along_columns).permute(1, 0, 2).reshape(columns, 2 * r)
    by_column = torch.view_as_complex((values.reshape(-1, columns) @ pairs).view(a * b, rows, r, 2))
    along_rows = _exponentials(p, at_rows, p, sign, values.dtype, values.device)
    return (along_rows @ by_column.permute(1, 2, 0).reshape(rows, r * a * b)).view(p, r, a, b)


@lru_cache(maxsize=256)
def _exponentials(frequencies: int, samples: range, period: int, sign: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """exp(sign 2 pi i f t / period) for f = 0 .. frequencies-1 and t in samples, complex (f, t)."""
    f = torch.arange(frequencies, dtype=torch.float64)
    t = torch.tensor(samples, dtype=torch.float64)
    angle = sign * 2 * math.pi / period * torch.outer(f, t)
    return torch.complex(angle.cos(), angle.sin()).to(device=device, dtype=dtype.to_complex())


@lru_cache(maxsize=256)
def _real_synthesis(period: int, samples: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix (2R, samples) from half a spectrum, as (real, imaginary) pairs, to the first real samples of the period."""
    r = period // 2 + 1
    weight = torch.full((r, 1), 2.0, dtype=torch.float64)
    weight[0] = 1
    if period % 2 == 0:
        weight[-1] = 1
    wave = _exponentials(r, range(samples), period, +1, torch.float64, torch.device("cpu")) * weight / period
    return torch.stack([wave.real, -wave.imag], dim=1).reshape(2 * r, samples).to(device=device, dtype=dtype)
