"""Resizing, cropping and padding of one axis as a matrix: all of them are linear, and separable in two dimensions.

A resampling of an axis of `size_in` samples to `size_out` is a float64 matrix (size_out, size_in); maps or filters are
resampled by `rows @ maps @ columns.T`. Interpolation has no antialiasing, as in the published implementations.

Positions, for an output sample i: aligned corners read the source at i (size_in - 1) / (size_out - 1), half-pixel centres at
(i + 1/2) size_in / size_out - 1/2, not below 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def nearest(sources: list[int], size_in: int) -> Tensor:
    """Each output sample repeats one source sample: float64 (len(sources), size_in)."""
    return torch.eye(size_in, dtype=torch.float64)[torch.tensor(sources)]


def bilinear(size_in: int, size_out: int, *, align_corners: bool) -> Tensor:
    """Linear interpolation along one axis, torch's `interpolate` to a given size: float64 (size_out, size_in)."""
    matrix = torch.zeros(size_out, size_in, dtype=torch.float64)
    for i in range(size_out):
        if align_corners:
            position = i * (size_in - 1) / (size_out - 1) if size_out > 1 else 0.0
        else:
            position = max(0.0, (i + 0.5) * size_in / size_out - 0.5)
        left = min(math.floor(position), size_in - 1)
        matrix[i, left] += 1 - (position - left)
        matrix[i, min(left + 1, size_in - 1)] += position - left
    return matrix


def centred(matrix: Tensor, size: int) -> Tensor:
    """Zero-pad or crop the output axis to `size` samples; of an odd difference the larger part is at the end."""
    before = math.floor((size - len(matrix)) / 2)
    after = size - len(matrix) - before
    kept = matrix[max(0, -before) : len(matrix) - max(0, -after)]
    return torch.nn.functional.pad(kept, (0, 0, max(0, before), max(0, after)))
