"""Same-size convolution with large filters, done the cheapest way.

Scale-equivariant layers convolve small maps with large filters (15 x 15 on 14 x 14 pixels), some of them dilated. Five things
make that cheap, and none changes the result beyond rounding:

- taps that can only ever meet the zero padding are cut: a filter never needs more than 2H - 1 taps (`clip_taps`);
- where the counted operations say so, the convolution is a product in the Fourier domain (`fourier.py`), and filters of several
  sizes on the same maps share the maps' transform;
- filters that combine a few separable functions need not be made: the maps are correlated with the functions (`separable.py`);
- small filters on many channels, on the CPU, are products at a few points of each tile of the maps (`../cpu/winograd.py`);
- otherwise it is torch's own `conv2d`, which is also the reference that the others are tested against.

Shape letters: N batch, C channels in, O channels out, H, W map, K filter size (odd).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from models.layers.conv import Sizes
from models.layers.conv.algorithm import cheapest_for_functions, cheapest_groups, may_use_winograd
from models.layers.conv.fourier import fourier_conv2d
from models.layers.conv.separable import Functions, compose, separable_conv2d, without_common_zeros
from models.layers.cpu import onednn
from models.layers.cpu.winograd import taps_alone, winograd_conv2d
from models.layers.layout import in_full_precision


def clip_taps(filters: Tensor, height: int, width: int, dilation: int = 1) -> Tensor:
    """Cut the taps of (O, C, K, L) filters that only meet padding on an H x W map; the centre stays the centre."""
    rows, columns = filters.shape[-2:]
    above, left = rows // 2 - (height - 1) // dilation, columns // 2 - (width - 1) // dilation
    return filters[..., max(0, above) : rows - max(0, above), max(0, left) : columns - max(0, left)]


def same_conv2d(maps: Tensor, filters: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve (N, C, H, W) with (O, C, K, K), K odd -> (N, O, ceil(H/stride), ceil(W/stride)).

    Zero padding dilation * (K-1)/2; the taps are `dilation` pixels apart.
    """
    (responses,) = same_conv2d_bank(maps, [filters], stride, dilation)
    return responses


def steered_conv2d(maps: Tensor, weight: Tensor, rows: Functions, columns: Functions, stride: int = 1) -> Tensor:
    """Convolve (N, C, H, W) with the filters that weight (O, C, A, B) makes of A row and B column functions of K taps, K odd.

    As `same_conv2d` with `compose(weight, rows, columns)`, whether or not these filters are ever made.
    """
    sizes = Sizes(len(maps), maps.shape[1], len(weight), (maps.shape[2], maps.shape[3]))
    allowed = in_full_precision(maps), may_use_winograd(maps)
    algorithm, tile = cheapest_for_functions(sizes, (rows, columns), stride, *allowed)
    if algorithm == "separable":
        return separable_conv2d(maps, weight, rows, columns, stride)
    if tile is not None:
        return winograd_conv2d(maps, weight, rows, columns, tile)
    if stride > 1:  # always direct, so the filters need not reach as far to both sides
        (rows, above), (columns, left) = without_common_zeros(rows), without_common_zeros(columns)
        margins = (left, len(columns[0]) - 1 - left, above, len(rows[0]) - 1 - above)
        return valid_conv2d(maps, compose(weight, rows, columns), stride, margins)
    return same_conv2d(maps, compose(weight, rows, columns), stride)


def same_conv2d_bank(maps: Tensor, bank: Sequence[Tensor], stride: int = 1, dilation: int = 1) -> list[Tensor]:
    """Convolve the same maps with each of several filters of any odd sizes, as `same_conv2d` does."""
    if stride > 1 and dilation % stride == 0:  # no filter sees the pixels in between
        maps, stride, dilation = maps[..., ::stride, ::stride], 1, dilation // stride
    height, width = maps.shape[-2:]
    clipped = [clip_taps(filters, height, width, dilation) for filters in bank]
    if stride > 1 or not in_full_precision(maps):
        return [_direct(maps, filters, stride, dilation) for filters in clipped]
    taps = tuple((filters.shape[2], filters.shape[3]) for filters in clipped)
    sizes = Sizes(len(maps), maps.shape[1], len(bank[0]), (height, width))
    responses: list[Tensor] = []
    for count, (algorithm, tile) in cheapest_groups(sizes, taps, dilation, may_use_winograd(maps)):
        group = clipped[len(responses) : len(responses) + count]
        if algorithm == "fourier":
            responses += fourier_conv2d(maps, group, dilation, tile)
        elif tile is not None:
            along_rows, along_columns = (taps_alone(extent) for extent in group[0].shape[2:])
            responses.append(winograd_conv2d(maps, group[0], along_rows, along_columns, tile, dilation))
        else:
            responses.append(_direct(maps, group[0], 1, dilation))
    return responses


def _direct(maps: Tensor, filters: Tensor, stride: int, dilation: int) -> Tensor:
    """torch's convolution, zero padding dilation * (K-1)/2."""
    if maps.device.type == "cpu":
        return onednn.same_conv2d(maps, filters, stride, dilation)
    rows, columns = (dilation * (taps // 2) for taps in filters.shape[2:])
    return F.conv2d(maps, filters, stride=stride, padding=(rows, columns), dilation=dilation)


def valid_conv2d(maps: Tensor, filters: Tensor, stride: int = 1, margins: Sequence[int] = (0, 0, 0, 0)) -> Tensor:
    """torch's convolution without padding, of maps with zeros around them: `margins` left, right, above and below."""
    if maps.device.type == "cpu":
        return onednn.valid_conv2d(maps, filters, stride, margins)
    if filters[0, 0].numel() == 1 and not any(margins):
        return F.conv2d(maps[:, :, ::stride, ::stride], filters)
    return F.conv2d(F.pad(maps, margins), filters, stride=stride)
