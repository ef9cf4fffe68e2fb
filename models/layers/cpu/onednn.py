"""torch's convolution on the CPU, which oneDNN does: what that is slow at is given to it in another form.

Shape letters: N batch, C channels in, O channels out, H, W map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.layout import WIDE, from_hwnc, in_full_precision, to_hwnc

# Filters wider than this take three times as long per operation (docs/performance.md).
WIDEST = 14


def is_wide(maps: Tensor, filters: Tensor) -> bool:
    """Whether the result has so many channels that it is to be in HWNC layout: in full precision, on the CPU."""
    return len(filters) >= WIDE and in_full_precision(maps) and maps.device.type == "cpu"


def same_conv2d(maps: Tensor, filters: Tensor, stride: int, dilation: int) -> Tensor:
    """(N, C, H, W) with (O, C, kh, kw), odd sizes -> (N, O, ceil(H/stride), ceil(W/stride)), zero padding."""
    rows, columns = (dilation * (taps // 2) for taps in filters.shape[2:])
    margins = (columns, columns, rows, rows)
    if is_wide(maps, filters) or (stride > 1 and filters[0, 0].numel() == 1):
        return valid_conv2d(maps, filters, stride, margins, dilation)
    if maps.shape[1] == 1:
        maps = _with_channels_last(maps)
    if filters.shape[-1] > WIDEST and dilation == 1:
        return _in_strips(F.pad(maps, margins), filters, stride)
    return F.conv2d(maps, filters, stride=stride, padding=(rows, columns), dilation=dilation)


def valid_conv2d(
    maps: Tensor, filters: Tensor, stride: int = 1, margins: Sequence[int] = (0, 0, 0, 0), dilation: int = 1
) -> Tensor:
    """Without padding, of maps with zeros around them: `margins` left, right, above and below. Wide results: HWNC layout."""
    if filters[0, 0].numel() == 1 and not any(margins):
        return _one_tap(maps, filters, stride)
    if not is_wide(maps, filters):
        return F.conv2d(F.pad(maps, margins), filters, stride=stride, dilation=dilation)
    # oneDNN is faster, and copying takes less, where channels lie innermost.
    padded = F.pad(maps.contiguous(memory_format=torch.channels_last), margins)
    return from_hwnc(to_hwnc(F.conv2d(padded, filters, stride=stride, dilation=dilation)))


def _one_tap(maps: Tensor, filters: Tensor, stride: int) -> Tensor:
    """A convolution that sees every `stride`-th pixel only: the others are left out beforehand, oneDNN's gradients are slow."""
    if is_wide(maps, filters):
        return from_hwnc(F.linear(to_hwnc(maps)[::stride, ::stride], filters.flatten(1)))
    return F.conv2d(maps[:, :, ::stride, ::stride], filters)


def _in_strips(padded: Tensor, filters: Tensor, stride: int) -> Tensor:
    """Convolve padded maps, no further padding, as the sum over strips of at most WIDEST columns of the filters."""
    columns = filters.shape[-1]
    reach = (padded.shape[-1] - columns) // stride * stride  # from the first output pixel's first tap to the last one's
    strips = filters.tensor_split(math.ceil(columns / WIDEST), dim=-1)
    result, first = None, 0
    for strip in strips:
        seen = padded[..., first : first + reach + strip.shape[-1]]
        response = F.conv2d(_with_channels_last(seen) if seen.shape[1] == 1 else seen, strip, stride=stride)
        result = response if result is None else result.add_(response)
        first += strip.shape[-1]
    assert result is not None
    return result


def _with_channels_last(images: Tensor) -> Tensor:
    """The same images of one channel, marked so that the responses' channels come last: pooling these is ten times as fast."""
    n, _, height, width = images.shape
    return images.reshape(n, height, width, 1).permute(0, 3, 1, 2)
