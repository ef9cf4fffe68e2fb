"""Convolution of a resampled map, resampled back (`resampled_axis.py`): directly, between four small matrix products, or in the
Fourier domain.

Shape letters: N batch, C channels in, O channels out, H, W map, k filter size.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.dft import of_filters
from models.layers.conv.fourier import spectral_products
from models.layers.conv.resampled_axis import ResampledAxis, after_transform, before_transform, levels_pay
from models.layers.cpu.onednn import is_wide
from models.layers.cpu.resampled import wide_resampled_conv2d
from models.layers.layout import from_hwnc, to_hwnc


def resampled_conv2d(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    """Resample (N, C, H, W), convolve with (O, C, k, k), resample back -> (N, O, H', W')."""
    if levels_pay(maps, len(filters), [(rows, columns)]):
        return _in_fourier_domain(maps, filters, rows, columns)
    return resampled_conv2d_direct(maps, filters, rows, columns)


def laid_out(maps: Tensor, filters: Tensor, axes: Iterable[tuple[ResampledAxis, ResampledAxis]]) -> Tensor:
    """The same maps as these convolutions of them want them in memory: copied once and not by each of them."""
    wanted = any(levels_pay(maps, len(filters), [(rows, columns)]) for rows, columns in axes)
    return from_hwnc(to_hwnc(maps)) if wanted else maps


def resampled_conv2d_direct(maps: Tensor, filters: Tensor, rows: ResampledAxis, columns: ResampledAxis) -> Tensor:
    """The same by two matrix products, an ordinary convolution, and two matrix products."""
    (before_rows, after_rows), (before_columns, after_columns) = (
        _on(axis, maps.dtype, maps.device) for axis in (rows, columns)
    )
    if is_wide(maps, filters) and rows.stride == columns.stride:
        along_rows, along_columns = (before_rows, after_rows), (before_columns, after_columns)
        return wide_resampled_conv2d(maps, filters, along_rows, along_columns, rows.stride)
    responses = F.conv2d(before_rows @ (maps @ before_columns.mT), filters, stride=(rows.stride, columns.stride))
    return after_rows @ responses @ after_columns.mT


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
