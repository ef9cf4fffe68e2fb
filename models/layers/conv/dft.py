"""Discrete Fourier transforms of maps and filters, written as real matrix products.

Periods are small and odd sizes are common (35, 21, 13), where a matrix product beats a fast transform; one axis after the
other, so that its cost stays far below the convolution's.

A product of two complex numbers, (a + ib)(c + id), takes three real ones: t = (a + b)c, u = a(d - c), v = b(c + d), of which
t - v is the real part and t + u the imaginary one. The sums cost nothing: the matrices of the transforms make them.

The matrices are made in float64 and rounded once. Maps are in HWNC layout (layout.py), so that both products have long rows.

Shape letters: N batch, C channels, P, Q periods, R = Q//2 + 1 real frequencies of the second axis.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

# What the three factors are of a value's real and imaginary part, for maps and for filters; for results, how the parts follow
# from the three products, transposed.
MAPS = ((1, 1), (1, 0), (0, 1))
FILTERS = ((1, 0), (-1, 1), (1, 1))
RESULTS = ((1, 1), (0, 1), (-1, 0))
Factors = tuple[tuple[int, int], ...]
Periods = tuple[int, int]


class Transform(NamedTuple):
    """Real matrices that take both axes of (rows, columns, B) to frequencies, or, transposed, back."""

    along_columns: Tensor  # (2R, columns): real parts, then imaginary ones
    along_rows: Tensor  # (3P, 2 rows): the three factors of each frequency, from (row, part) pairs


def analyse(pixels: Tensor, transform: Transform) -> Tensor:
    """(rows, columns, A, B) -> (3P * R, A, B)."""
    along_columns, along_rows = transform
    by_column = torch.bmm(along_columns.expand(len(pixels), -1, -1), pixels.flatten(2))
    return (along_rows @ by_column.view(along_rows.shape[1], -1)).view(-1, *pixels.shape[2:])


def synthesise(values: Tensor, transform: Transform) -> Tensor:
    """The transpose of `analyse`: (3P * R, A, B) -> (rows, columns, A, B)."""
    along_columns, along_rows = transform
    rows = along_rows.shape[1] // 2
    by_row = (along_rows.mT @ values.view(len(along_rows), -1)).view(rows, len(along_columns), -1)
    return torch.bmm(along_columns.mT.expand(rows, -1, -1), by_row).view(rows, -1, *values.shape[1:])


def waves(frequencies: int, samples: range, period: int, sign: int) -> Tensor:
    """exp(sign 2 pi i f t / period) for f = 0 .. frequencies-1 and t in samples, complex128 (f, t)."""
    angle = torch.outer(torch.arange(frequencies, dtype=torch.float64), torch.tensor(samples, dtype=torch.float64))
    return torch.polar(torch.ones_like(angle), sign * 2 * math.pi / period * angle)


def both_waves(rows: range, columns: range, periods: Periods, sign: int) -> tuple[Tensor, Tensor]:
    """The waves along both axes: (P, rows), and of half the second axis' frequencies, (R, columns)."""
    p, q = periods
    return waves(p, rows, p, sign), waves(q // 2 + 1, columns, q, sign)


def synthesis_weights(periods: Periods) -> Tensor:
    """What each of the R frequencies of the second axis counts in a map, both inverse periods included: (R, 1)."""
    q = periods[1]
    weights = torch.full((q // 2 + 1, 1), 2.0, dtype=torch.float64)
    weights[0] = 1
    if q % 2 == 0:
        weights[-1] = 1
    return weights / (periods[0] * q)


def real_transform(
    along_rows: Tensor, along_columns: Tensor, factors: Factors, dtype: torch.dtype, device: torch.device
) -> Transform:
    """The real matrices of complex128 ones, (P, rows) and (R, columns), followed by the three factors of every value."""
    parts = torch.stack(
        [
            torch.stack([along_rows.real, -along_rows.imag], dim=-1),
            torch.stack([along_rows.imag, along_rows.real], dim=-1),
        ]
    )  # (part of the value, P, rows, part of what is transformed)
    rows = torch.tensor(factors, dtype=torch.float64) @ parts.flatten(1)
    columns = torch.cat([along_columns.real, along_columns.imag])
    made = (columns, rows.view(len(factors) * len(along_rows), -1))
    return Transform(*(matrix.to(device=device, dtype=dtype) for matrix in made))


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def of_maps(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of the given pixels of a map."""
    return real_transform(*both_waves(rows, columns, periods, -1), MAPS, dtype, device)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def of_filters(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of a filter whose taps lie on the given pixels; cross-correlation takes the opposite sign."""
    return real_transform(*both_waves(rows, columns, periods, +1), FILTERS, dtype, device)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def of_results(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transpose of the inverse transform at the given pixels."""
    along_rows, along_columns = both_waves(rows, columns, periods, -1)
    return real_transform(along_rows, along_columns * synthesis_weights(periods), RESULTS, dtype, device)
