"""Convolution of a resampled map, resampled back, of many channels on the CPU: as `../conv/resampled.py`, in HWNC layout.

Shape letters: N batch, C channels in, O channels out, H, W map, h, w resampled map, k filter size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.same import same_conv2d, valid_conv2d
from models.layers.layout import from_hwnc, to_hwnc

Matrices = tuple[Tensor, Tensor]  # what resamples an axis before and after the convolution


def wide_resampled_conv2d(maps: Tensor, filters: Tensor, rows: Matrices, columns: Matrices, stride: int) -> Tensor:
    """Resample (N, C, H, W), convolve with (O, C, k, k), resample back -> (N, O, H', W')."""
    seen, (after_rows, after_columns) = from_hwnc(_resampled(to_hwnc(maps), rows[0], columns[0])), (rows[1], columns[1])
    if stride == 1:  # more responses than are looked at, but in a cheaper way
        responses = same_conv2d(seen, filters)
        after_rows, after_columns = (
            F.pad(after, (taps // 2, taps // 2))
            for after, taps in zip((after_rows, after_columns), filters.shape[2:], strict=True)
        )
    else:
        responses = valid_conv2d(seen, filters, stride)
    return from_hwnc(_resampled(to_hwnc(responses), after_rows, after_columns))


def _resampled(pixels: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    """(H, W, N, C) and matrices (h, H) and (w, W) -> (h, w, N, C)."""
    (_, width, n, c), high = pixels.shape, len(along_rows)
    by_row = (along_rows @ pixels.flatten(1)).view(high, width, n * c)
    return torch.bmm(along_columns.expand(high, -1, -1), by_row).view(high, -1, n, c)
