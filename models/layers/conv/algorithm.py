"""Which algorithm convolves, by counted operations.

On one device the same rules hold for every model, the plain network included: what its time is compared with differs in method
and not in library. The rules were measured on two CPU cores. On a GPU they are an estimate that no measurement has confirmed:
by the rooflines of an H100 (67 TFLOP/s in float32, 3.35 TB/s) the Fourier path takes 1.2 to 1.9 times as long per counted
operation as cuDNN's direct convolution, memory traffic and launches included, so that DIRECT_ADVANTAGE favours the latter.
Winograd's filtering is left to cuDNN there, which has it among its algorithms for 3 x 3 filters: these count CUDNN_WINOGRAD
less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from models.layers.conv import Sizes
from models.layers.conv.fourier import fourier_cost, spectral_cost
from models.layers.conv.separable import Functions, separable_cost, without_common_zeros
from models.layers.cpu.winograd import taps_alone, winograd_cost
from models.layers.layout import in_full_precision

# A direct convolution of few channels runs at a fraction of the matrix rate and the Fourier path pays for its copies; below
# this ratio of counted operations, direct wins (measured on two CPU cores: docs/performance.md).
DIRECT_ADVANTAGE = 2.7
# Correlations with separable functions are products with narrow matrices, so much slower per operation; and combining few
# channels is a thin matrix product, for which the counted operations promise too much (same place).
NARROW = 1.4
CHANNELS_TO_COMBINE = 128
# F(2 x 2, 3 x 3) takes 16 products for 4 pixels, where 36 are counted. cuDNN's, on a GPU: an estimate, not measured.
CUDNN_WINOGRAD = 36 / 16

Algorithm = tuple[str, int | None]  # its name, and the size of tiles
Choice = tuple[float, Algorithm]  # counted operations
Taps = tuple[int, int]  # rows and columns of a filter


def may_use_winograd(maps: Tensor) -> bool:
    """Whether Winograd's filtering is done here: on a GPU it is among the algorithms that cuDNN chooses from."""
    return in_full_precision(maps) and maps.device.type == "cpu"


@lru_cache(maxsize=1024)
def cheapest_for_functions(
    sizes: Sizes, functions: tuple[Functions, Functions], stride: int, with_fourier: bool, with_winograd: bool
) -> Algorithm:
    """How to convolve with filters made of row and column functions; "composed": make them first."""
    if sizes.channels_in < CHANNELS_TO_COMBINE:
        return "composed", None
    counts, taps = (len(functions[0]), len(functions[1])), (len(functions[0][0]), len(functions[1][0]))
    combination, correlation = separable_cost(sizes, counts, stride)
    used = taps if stride == 1 else tuple(len(without_common_zeros(along)[0][0]) for along in functions)
    direct = combination / DIRECT_ADVANTAGE * math.prod(used) / math.prod(counts)
    choices: list[Choice] = [(direct, ("composed", None))]
    choices.append((combination / DIRECT_ADVANTAGE + NARROW * correlation, ("separable", None)))
    if with_fourier and stride == 1:
        choices[0] = direct / _winograds_gain(used, 1, with_winograd), ("composed", None)
        choices.append((fourier_cost(sizes, [taps])[0], ("composed", None)))
    if with_winograd and stride == 1:
        operations, tile = winograd_cost(sizes, functions)
        choices.append((operations / DIRECT_ADVANTAGE, ("winograd", tile)))
    return min(choices, key=lambda choice: choice[0])[1]


@lru_cache(maxsize=1024)
def cheapest_groups(sizes: Sizes, taps: tuple[Taps, ...], dilation: int, with_winograd: bool) -> list[tuple[int, Algorithm]]:
    """How to do a bank: (filters in the group, how), by counted operations."""

    def alone(filters: Taps) -> Choice:
        direct = _direct_operations(sizes, filters, dilation, with_winograd)
        choices: list[Choice] = [(direct / DIRECT_ADVANTAGE, ("direct", None))]
        if with_winograd and sizes.channels_in >= CHANNELS_TO_COMBINE:
            operations, tile = winograd_cost(sizes, (taps_alone(filters[0]), taps_alone(filters[1])), dilation)
            choices.append((operations / DIRECT_ADVANTAGE, ("winograd", tile)))
        return min(choices, key=lambda choice: choice[0])

    def together(group: tuple[Taps, ...]) -> Choice:
        operations, tile = fourier_cost(sizes, group, dilation)
        return operations, ("fourier", tile)

    # best[i]: the cheapest way to do the filters from the i-th on.
    best: list[tuple[float, list[tuple[int, Algorithm]]]] = [(0.0, [])]
    for first in reversed(range(len(taps))):
        ways = []
        for end in range(first + 1, len(taps) + 1):
            cost, algorithm = together(taps[first:end])
            if end == first + 1:
                cost, algorithm = min((cost, algorithm), alone(taps[first]), key=lambda choice: choice[0])
            rest, groups = best[end - first - 1]
            ways.append((cost + rest, [(end - first, algorithm), *groups]))
        best.insert(0, min(ways, key=lambda way: way[0]))
    return best[0][1]


def fourier_pays(
    maps: Tensor, channels_out: int, taps: Sequence[int], dilations: Sequence[int], periods: tuple[int, int]
) -> bool:
    """Whether to convolve (N, C, M, H, W), M = 1 or one for each filter, with filters of these widths in one Fourier domain.

    Else each of them by itself, by whatever algorithm is the cheapest then.
    """
    n, c, groups, height, width = maps.shape
    sizes, on_cpu = Sizes(n, c, channels_out, (height, width)), maps.device.type == "cpu"
    return in_full_precision(maps) and _fourier_pays(sizes, tuple(taps), tuple(dilations), periods, groups > 1, on_cpu)


@lru_cache(maxsize=1024)
def _fourier_pays(
    sizes: Sizes, taps: tuple[int, ...], dilations: tuple[int, ...], periods: tuple[int, int], apart: bool, on_cpu: bool
) -> bool:
    direct, used = 0.0, []  # taps that ever meet the map
    for k, dilation in zip(taps, dilations, strict=True):
        rows, columns = (min(k, 2 * ((extent - 1) // dilation) + 1) for extent in sizes.extents)
        used.append((rows, columns))
        direct += _direct_operations(sizes, (rows, columns), dilation, on_cpu)
    banks = [[one] for one in used] if apart else [used]
    if any(fourier_cost(sizes, bank, max(dilations))[1] is not None for bank in banks):
        return False  # better in tiles, which are each filter's own
    return direct > DIRECT_ADVANTAGE * sum(spectral_cost(sizes, sizes.extents, bank, periods) for bank in banks)


def _direct_operations(sizes: Sizes, taps: Taps, dilation: int, on_cpu: bool) -> float:
    """Of torch's convolution, forward."""
    operations = 2 * sizes.batch * sizes.channels_in * sizes.channels_out * math.prod(sizes.extents) * math.prod(taps)
    return operations / _winograds_gain(taps, dilation, on_cpu)


def _winograds_gain(taps: tuple[int, ...], dilation: int, on_cpu: bool) -> float:
    """How much less torch's convolution counts where it does Winograd's filtering by itself: on a GPU."""
    return CUDNN_WINOGRAD if taps == (3, 3) and dilation == 1 and not on_cpu else 1
