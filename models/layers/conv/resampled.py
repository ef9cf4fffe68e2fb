"""Convolution of a resampled map, resampled back: y = after * conv(before * x), both resamplings linear and separable.

Networks that rescale their input to several sizes spend their time here, and most of that work is never looked at: a map
enlarged to 93 pixels is cropped to 28, a response enlarged from 28 to 93 pixels is cropped to its central 10. Per axis, a
`ResampledAxis` keeps the part of the resampled map that reaches the output, zero padding included. The convolution then runs
either directly between four small matrix products, or in the Fourier domain, where the resamplings are folded into the
transforms and cost nothing: maps are never made at the resampled size.

Shape letters: N batch, C channels in, O channels out, H, W map, k filter size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.fourier import (
    MAPS,
    RESULTS,
    Transform,
    both_waves,
    cost,
    of_filters,
    real_transform,
    spectral_products,
    synthesis_weights,
)
from models.layers.conv.same import DIRECT_ADVANTAGE, is_wide, may_use_fourier, same_conv2d, valid_conv2d
from models.layers.layout import from_hwnc, to_hwnc


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


def laid_out(maps: Tensor, filters: Tensor, axes: Iterable[tuple[ResampledAxis, ResampledAxis]]) -> Tensor:
    """The same maps as these convolutions of them want them in memory: copied once and not by each of them."""
    wanted = any(_fourier_pays(maps, filters, rows, columns) for rows, columns in axes)
    return from_hwnc(to_hwnc(maps)) if wanted else maps


def resampled_conv2d_direct(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    """The same by two matrix products, an ordinary convolution, and two matrix products."""
    (before_rows, after_rows), (before_columns, after_columns) = (
        _on(axis, maps.dtype, maps.device) for axis in (rows, columns)
    )
    if is_wide(maps, filters) and rows.stride == columns.stride:
        seen = from_hwnc(_resampled(to_hwnc(maps), before_rows, before_columns))
        if rows.stride == 1:  # more responses than are looked at, but in a cheaper way
            responses = same_conv2d(seen, filters)
            after_rows, after_columns = (
                F.pad(after, (axis.taps // 2, axis.taps // 2)) for after, axis in ((after_rows, rows), (after_columns, columns))
            )
        else:
            responses = valid_conv2d(seen, filters, rows.stride)
        return from_hwnc(_resampled(to_hwnc(responses), after_rows, after_columns))
    responses = F.conv2d(before_rows @ (maps @ before_columns.mT), filters, stride=(rows.stride, columns.stride))
    return after_rows @ responses @ after_columns.mT


def _resampled(pixels: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    """(H, W, N, C) and matrices (h, H) and (w, W) -> (h, w, N, C)."""
    (_, width, n, c), high = pixels.shape, len(along_rows)
    by_row = (along_rows @ pixels.flatten(1)).view(high, width, n * c)
    return torch.bmm(along_columns.expand(high, -1, -1), by_row).view(high, -1, n, c)


@lru_cache(maxsize=1024)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def _on(axis: ResampledAxis, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The axis' two matrices, rounded."""
    return axis.before.to(device=device, dtype=dtype), axis.after.to(device=device, dtype=dtype)


def _in_fourier_domain(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    kind = (maps.dtype, maps.device)
    taps = of_filters(range(rows.taps), range(columns.taps), (rows.period, columns.period), *kind)
    (result,) = spectral_products(
        to_hwnc(maps), before_transform(rows, columns, *kind), [filters], [taps], after_transform(rows, columns, *kind)
    )
    return from_hwnc(result)


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def before_transform(rows: ResampledAxis, columns: ResampledAxis, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of the resampled map: the real matrices of fourier.py."""
    periods = (rows.period, columns.period)
    along_rows, along_columns = both_waves(range(len(rows.before)), range(len(columns.before)), periods, -1)
    resampled = along_rows @ rows.before.to(along_rows), along_columns @ columns.before.to(along_columns)
    return real_transform(*resampled, MAPS, dtype, device)


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def after_transform(rows: ResampledAxis, columns: ResampledAxis, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transpose of the inverse transform, resampled."""
    periods = (rows.period, columns.period)
    along_rows, along_columns = both_waves(range(rows.after.shape[1]), range(columns.after.shape[1]), periods, -1)
    along_columns = along_columns * synthesis_weights(periods)
    resampled = along_rows @ rows.after.mT.to(along_rows), along_columns @ columns.after.mT.to(along_columns)
    return real_transform(*resampled, RESULTS, dtype, device)


def _fourier_pays(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> bool:
    return levels_pay(maps, len(filters), [(rows, columns)])


def levels_pay(maps: Tensor, channels_out: int, axes: Sequence[tuple[ResampledAxis, ResampledAxis]]) -> bool:
    """Whether convolutions of (N, C, H, W) along all these axes count less in the Fourier domain than directly."""
    if not may_use_fourier(maps) or any(axis.stride != 1 for both in axes for axis in both):
        return False
    sizes = len(maps), maps.shape[1], channels_out
    counted = [_operations(*sizes, *both) for both in axes]
    return sum(direct for direct, _ in counted) > DIRECT_ADVANTAGE * sum(fourier for _, fourier in counted)


@lru_cache(maxsize=1024)
def _operations(
    batch: int, channels_in: int, channels_out: int, rows: ResampledAxis, columns: ResampledAxis
) -> tuple[float, float]:
    """Directly, those between the convolution's counted at its rate, and in the Fourier domain."""
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
    return convolution + DIRECT_ADVANTAGE * resampling, fourier
