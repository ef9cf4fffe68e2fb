"""Same-size convolution with large filters, done the cheapest way.

Scale-equivariant layers convolve small maps with large filters (15 x 15 on 14 x 14 pixels), some of them dilated. Five things
make that cheap, and none changes the result beyond rounding:

- taps that can only ever meet the zero padding are cut: a filter never needs more than 2H - 1 taps (`clip_taps`);
- where the counted operations say so, the convolution is a product in the Fourier domain (`fourier.py`), and filters of several
  sizes on the same maps share the maps' transform;
- filters that combine a few separable functions need not be made: the maps are correlated with the functions (`separable.py`);
- small filters on many channels, on the CPU, are products at a few points of each tile of the maps (`winograd.py`);
- otherwise it is torch's own `conv2d`, which is also the reference that the others are tested against.

On one device the same rules hold for every model, the plain network included: what its time is compared with differs in method
and not in library. The rules were measured on two CPU cores. On a GPU they are an estimate that no measurement has confirmed:
by the rooflines of an H100 (67 TFLOP/s in float32, 3.35 TB/s) the Fourier path takes 1.2 to 1.9 times as long per counted
operation as cuDNN's direct convolution, memory traffic and launches included, so that DIRECT_ADVANTAGE favours the latter.
Winograd's filtering is left to cuDNN there, which has it among its ways for 3 x 3 filters: these count CUDNN_WINOGRAD less.

Shape letters: N batch, C channels in, O channels out, H, W map, K filter size (odd).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.fourier import cost, fourier_conv2d, fourier_cost
from models.layers.conv.separable import Functions, compose, separable_conv2d, separable_cost, without_common_zeros
from models.layers.cpu.winograd import identity, winograd_conv2d, winograd_cost
from models.layers.layout import WIDE, from_hwnc, to_hwnc

# A direct convolution of few channels runs at a fraction of the matrix rate and the Fourier path pays for its copies; below
# this ratio of counted operations, direct wins (measured on two CPU cores: docs/performance.md).
DIRECT_ADVANTAGE = 2.7
# Correlations with separable functions are products with narrow matrices, so much slower per operation; and combining few
# channels is a thin matrix product, for which the counted operations promise too much (same place).
NARROW = 1.4
CHANNELS_TO_COMBINE = 128
# F(2 x 2, 3 x 3) takes 16 products for 4 pixels, where 36 are counted. cuDNN's, on a GPU: an estimate, not measured.
CUDNN_WINOGRAD = 36 / 16
# The direct convolution on the CPU (oneDNN) takes three times as long per operation for filters wider than this (same place).
WIDEST = 14

Way = tuple[str, int | None]  # how to convolve, and the size of tiles


def clip_taps(filters: Tensor, height: int, width: int, dilation: int = 1) -> Tensor:
    """Cut the taps of (O, C, K, K) filters that only meet padding on an H x W map; the centre stays the centre."""
    size = filters.shape[-1]
    cut_rows, cut_columns = (max(0, (size - 1) // 2 - (extent - 1) // dilation) for extent in (height, width))
    return filters[..., cut_rows : size - cut_rows, cut_columns : size - cut_columns]


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
    sizes = (len(maps), maps.shape[1], len(weight), (maps.shape[2], maps.shape[3]))
    way, tile = _cheapest_for_functions(*sizes, (rows, columns), stride, may_use_fourier(maps), _may_use_winograd(maps))
    if way == "separable":
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
    if stride > 1 or not may_use_fourier(maps):
        return [_direct(maps, filters, stride, dilation) for filters in clipped]
    taps = tuple((filters.shape[2], filters.shape[3]) for filters in clipped)
    sizes = (len(maps), maps.shape[1], len(bank[0]), (height, width))
    responses: list[Tensor] = []
    for count, (way, tile) in _cheapest_groups(*sizes, taps, dilation, _may_use_winograd(maps)):
        group = clipped[len(responses) : len(responses) + count]
        if way == "fourier":
            responses += fourier_conv2d(maps, group, dilation, tile)
        elif tile is not None:
            along_rows, along_columns = (identity(extent) for extent in group[0].shape[2:])
            responses.append(winograd_conv2d(maps, group[0], along_rows, along_columns, tile, dilation))
        else:
            responses.append(_direct(maps, group[0], 1, dilation))
    return responses


@lru_cache(maxsize=1024)
def _cheapest_for_functions(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    functions: tuple[Functions, Functions],
    stride: int,
    with_fourier: bool,
    with_winograd: bool,
) -> Way:
    """How to convolve with filters made of functions; "composed": make them first."""
    if channels_in < CHANNELS_TO_COMBINE:
        return "composed", None
    sizes, counts = (batch, channels_in, channels_out, extents), (len(functions[0]), len(functions[1]))
    taps = (len(functions[0][0]), len(functions[1][0]))
    combination, correlation = separable_cost(*sizes, counts, stride)
    used = taps if stride == 1 else tuple(len(without_common_zeros(along)[0][0]) for along in functions)
    direct = combination / DIRECT_ADVANTAGE * math.prod(used) / math.prod(counts)
    ways: list[tuple[float, Way]] = [(direct, ("composed", None))]
    ways.append((combination / DIRECT_ADVANTAGE + NARROW * correlation, ("separable", None)))
    if with_fourier and stride == 1:
        ways[0] = direct / _winograds_gain(used, 1, with_winograd), ("composed", None)
        ways.append((fourier_cost(*sizes, [taps])[0], ("composed", None)))
    if with_winograd and stride == 1:
        operations, tile = winograd_cost(*sizes, functions)
        ways.append((operations / DIRECT_ADVANTAGE, ("winograd", tile)))
    return min(ways, key=lambda way: way[0])[1]


@lru_cache(maxsize=1024)
def _cheapest_groups(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    taps: tuple[tuple[int, int], ...],
    dilation: int,
    with_winograd: bool,
) -> list[tuple[int, Way]]:
    """How to do a bank: (filters in the group, how), by counted operations."""
    sizes = (batch, channels_in, channels_out, extents)

    def alone(rows: int, columns: int) -> tuple[float, Way]:
        direct = _direct_operations(*sizes, (rows, columns), dilation, with_winograd)
        ways: list[tuple[float, Way]] = [(direct / DIRECT_ADVANTAGE, ("direct", None))]
        if with_winograd and channels_in >= CHANNELS_TO_COMBINE:
            operations, tile = winograd_cost(*sizes, (identity(rows), identity(columns)), dilation)
            ways.append((operations / DIRECT_ADVANTAGE, ("winograd", tile)))
        return min(ways, key=lambda way: way[0])

    def together(group: tuple[tuple[int, int], ...]) -> tuple[float, Way]:
        operations, tile = fourier_cost(*sizes, group, dilation)
        return operations, ("fourier", tile)

    # best[i]: the cheapest way to do the filters from the i-th on.
    best: list[tuple[float, list[tuple[int, Way]]]] = [(0.0, [])]
    for first in reversed(range(len(taps))):
        ways = []
        for end in range(first + 1, len(taps) + 1):
            cost, way = together(taps[first:end])
            if end == first + 1:
                cost, way = min((cost, way), alone(*taps[first]), key=lambda choice: choice[0])
            rest, groups = best[end - first - 1]
            ways.append((cost + rest, [(end - first, way), *groups]))
        best.insert(0, min(ways, key=lambda way: way[0]))
    return best[0][1]


def fourier_pays(
    maps: Tensor, channels_out: int, taps: Sequence[int], dilations: Sequence[int], periods: tuple[int, int]
) -> bool:
    """Whether to convolve (N, C, M, H, W), M = 1 or one for each filter, with filters of these widths in one Fourier domain.

    Else each of them by itself, in whatever way is the cheapest then.
    """
    n, c, groups, height, width = maps.shape
    sizes = (n, c, channels_out, (height, width))
    on_cpu = maps.device.type == "cpu"
    return may_use_fourier(maps) and _fourier_pays(*sizes, tuple(taps), tuple(dilations), periods, groups > 1, on_cpu)


@lru_cache(maxsize=1024)
def _fourier_pays(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    taps: tuple[int, ...],
    dilations: tuple[int, ...],
    periods: tuple[int, int],
    apart: bool,
    on_cpu: bool,
) -> bool:
    sizes, direct = (batch, channels_in, channels_out, extents), 0.0
    used = []  # taps that ever meet the map
    for k, dilation in zip(taps, dilations, strict=True):
        rows, columns = (min(k, 2 * ((extent - 1) // dilation) + 1) for extent in extents)
        used.append((rows, columns))
        direct += _direct_operations(*sizes, (rows, columns), dilation, on_cpu)
    banks = [[one] for one in used] if apart else [used]
    if any(fourier_cost(*sizes, bank, max(dilations))[1] is not None for bank in banks):
        return False  # better in tiles, which are each filter's own
    fourier = sum(cost(batch, channels_in, channels_out, extents, extents, bank, periods) for bank in banks)
    return direct > DIRECT_ADVANTAGE * fourier


def _direct_operations(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    taps: tuple[int, int],
    dilation: int,
    on_cpu: bool,
) -> float:
    """Of torch's convolution, forward."""
    operations = 2 * batch * channels_in * channels_out * math.prod(extents) * math.prod(taps)
    return operations / _winograds_gain(taps, dilation, on_cpu)


def _winograds_gain(taps: tuple[int, ...], dilation: int, on_cpu: bool) -> float:
    """How much less torch's convolution counts where it does Winograd's filtering by itself: on a GPU."""
    return CUDNN_WINOGRAD if taps == (3, 3) and dilation == 1 and not on_cpu else 1


def _direct(maps: Tensor, filters: Tensor, stride: int, dilation: int) -> Tensor:
    rows, columns = (dilation * (taps // 2) for taps in filters.shape[2:])
    margins = (columns, columns, rows, rows)
    on_cpu = maps.device.type == "cpu"
    if is_wide(maps, filters) or (on_cpu and stride > 1 and filters[0, 0].numel() == 1):
        return valid_conv2d(maps, filters, stride, margins, dilation)
    if on_cpu and maps.shape[1] == 1:
        maps = _with_channels_last(maps)
    if filters.shape[-1] > WIDEST and dilation == 1 and on_cpu:
        return _in_strips(F.pad(maps, margins), filters, stride)
    return F.conv2d(maps, filters, stride=stride, padding=(rows, columns), dilation=dilation)


def valid_conv2d(
    maps: Tensor, filters: Tensor, stride: int = 1, margins: Sequence[int] = (0, 0, 0, 0), dilation: int = 1
) -> Tensor:
    """torch's convolution without padding, of maps with zeros around them: `margins` left, right, above and below.

    Deep results lie with HWNC layout.
    """
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


def is_wide(maps: Tensor, filters: Tensor) -> bool:
    """Whether the result has so many channels that its pixels are to lie outermost in memory, on the CPU."""
    return len(filters) >= WIDE and _may_use_winograd(maps)


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


def may_use_fourier(maps: Tensor) -> bool:
    """Whether maps are of a type that has Fourier transforms here."""
    # Half precision means tensor cores (or AVX-512 bf16): the direct path is theirs, and complex halves do not exist.
    return maps.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(maps.device.type)


def _may_use_winograd(maps: Tensor) -> bool:
    return may_use_fourier(maps) and maps.device.type == "cpu"  # on a GPU it is among the ways that cuDNN chooses from
