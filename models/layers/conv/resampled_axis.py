"""Resampling an axis before and after a convolution: y = after * conv(before * x), both resamplings linear and separable.

Networks that rescale their input to several sizes spend their time here, and most of that work is never looked at: a map
enlarged to 93 pixels is cropped to 28, a response enlarged from 28 to 93 pixels is cropped to its central 10. Per axis, a
`ResampledAxis` keeps the part of the resampled map that reaches the output, zero padding included. In the Fourier domain the
resamplings are folded into the transforms and cost nothing: maps are never made at the resampled size.

Shape letters: N batch, C channels in, O channels out, H, W map, k filter size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv import Sizes
from models.layers.conv.algorithm import DIRECT_ADVANTAGE
from models.layers.conv.dft import MAPS, RESULTS, Transform, both_waves, real_transform, synthesis_weights
from models.layers.conv.fourier import spectral_cost
from models.layers.layout import in_full_precision


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


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def before_transform(rows: ResampledAxis, columns: ResampledAxis, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of the resampled map: the real matrices of dft.py."""
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


def levels_pay(maps: Tensor, channels_out: int, axes: Sequence[tuple[ResampledAxis, ResampledAxis]]) -> bool:
    """Whether convolutions of (N, C, H, W) along all these axes count less in the Fourier domain than directly."""
    if not in_full_precision(maps) or any(axis.stride != 1 for both in axes for axis in both):
        return False
    counted = [_operations(len(maps), maps.shape[1], channels_out, *both) for both in axes]
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
    sizes, periods = Sizes(batch, channels_in, channels_out, extents_in), (rows.period, columns.period)
    fourier = spectral_cost(sizes, extents_out, [(rows.taps, columns.taps)], periods)
    return convolution + DIRECT_ADVANTAGE * resampling, fourier
