"""Convolution as a product in the Fourier domain.

A same-size convolution of an H-pixel axis with a filter reaching r pixels to each side is circular with period H + r: what
wraps around falls outside the H pixels that are kept. So a convolution is: a real matrix along each axis of maps and filters
(`dft.py`), one batch of real products, a real matrix along each axis. A large map is cut into tiles (`tiles.py`).

Shape letters: N batch, C channels in, O channels out, H, W map, P, R frequencies of the two axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.layers.conv import Sizes
from models.layers.conv.dft import Transform, analyse, of_filters, of_maps, of_results, synthesise
from models.layers.conv.tiles import cut_tiles, join_tiles
from models.layers.layout import from_hwnc, to_hwnc

TILES = (8, 12, 16, 24)
# A filter's transform is made, read and thrown away at every step, which takes as long as so many operations per entry.
OPERATIONS_PER_ENTRY = 300
# A transform of more than so many times the maps' size is not kept for the backward pass but made again there.
KEPT_SIZE = 3


def fourier_cost(sizes: Sizes, taps: Sequence[tuple[int, int]], dilation: int = 1) -> tuple[int, int | None]:
    """Real operations of one forward pass of `fourier_conv2d`, and the best size of tiles.

    `taps`: rows and columns of each of the filters of the bank.
    """
    height, width = sizes.extents
    most = (max(rows for rows, _ in taps), max(columns for _, columns in taps))
    periods = (height + dilation * (most[0] // 2), width + dilation * (most[1] // 2))
    best: tuple[int, int | None] = (spectral_cost(sizes, sizes.extents, taps, periods), None)
    for tile in TILES:
        if tile < max(sizes.extents):
            tiles = math.ceil(height / tile) * math.ceil(width / tile)
            seen = (tile + dilation * (most[0] - 1), tile + dilation * (most[1] - 1))
            tiled = spectral_cost(sizes._replace(batch=sizes.batch * tiles, extents=seen), (tile, tile), taps, seen)
            best = min(best, (tiled, tile), key=lambda choice: choice[0])
    return best


def spectral_cost(sizes: Sizes, extents_out: tuple[int, int], taps: Sequence[tuple[int, int]], periods: tuple[int, int]) -> int:
    """Real operations of: transform maps and every filter, multiply, synthesise maps of `extents_out`."""
    p, r = periods[0], periods[1] // 2 + 1

    def operations(rows: int, columns: int) -> int:
        return 4 * rows * columns * r + 12 * p * rows * r

    results = len(taps) * sizes.channels_out * operations(*extents_out)
    maps = sizes.batch * (sizes.channels_in * operations(*sizes.extents) + results)
    filters = sum(operations(*size) + (6 * sizes.batch + OPERATIONS_PER_ENTRY) * p * r for size in taps)
    return maps + sizes.channels_in * sizes.channels_out * filters


def fourier_conv2d(maps: Tensor, bank: Sequence[Tensor], dilation: int = 1, tile: int | None = None) -> list[Tensor]:
    """Convolve (N, C, H, W) with each of several filters (O, C, kh, kw), odd sizes -> (N, O, H, W) each.

    Zero padding dilation * (k-1)/2, stride 1. The maps are transformed once, for the widest filter. `tile`: cut them into tiles
    of so many pixels. Equal to torch's `conv2d` up to rounding, in float32 or float64. In HWNC layout, but for
    results of tiles that are not wide.
    """
    (n, _, height, width), kind = maps.shape, (maps.dtype, maps.device)
    reach = [dilation * (max(filters.shape[axis] for filters in bank) // 2) for axis in (2, 3)]  # pixels to each side
    pixels = to_hwnc(maps)
    if tile is None:
        begins, made, periods = (0, 0), (height, width), (height + reach[0], width + reach[1])
    else:  # a tile begins with its rim
        pixels = cut_tiles(pixels, (reach[0], reach[1]), tile)
        begins, made, periods = (reach[0], reach[1]), (tile, tile), (pixels.shape[0], pixels.shape[1])
    before = of_maps(range(pixels.shape[0]), range(pixels.shape[1]), periods, *kind)
    after = of_results(range(made[0]), range(made[1]), periods, *kind)
    transforms = []
    for filters in bank:
        taps = (
            range(begin - dilation * (k // 2), begin + dilation * (k // 2) + 1, dilation)
            for begin, k in zip(begins, filters.shape[2:], strict=True)
        )
        transforms.append(of_filters(*taps, periods, *kind))
    results = spectral_products(pixels, before, bank, transforms, after)
    return [from_hwnc(result) if tile is None else join_tiles(result, n, height, width) for result in results]


def spectral_products(
    pixels: Tensor, before: Transform, bank: Sequence[Tensor], transforms: Sequence[Transform], after: Transform
) -> tuple[Tensor, ...]:
    """Transform (H, W, N, C), multiply its channels with each filter's at each frequency, and go back: (H', W', N, O) each.

    `bank`: filters (O, C, kh, kw), each with its own of `transforms`.
    """
    results: tuple[Tensor, ...] = _SpectralProducts.apply(pixels, before, transforms, after, *bank)
    return results


class _SpectralProducts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, before: Transform, transforms: Sequence[Transform], after: Transform, *bank: Tensor
    ) -> tuple[Tensor, ...]:
        values = analyse(pixels, before)
        ctx.transforms = before, transforms, after
        ctx.keeps_values = values.numel() <= KEPT_SIZE * pixels.numel()
        results, responses = [], []
        for filters, transform in zip(bank, transforms, strict=True):  # one by one: the products are the largest tensors here
            response = analyse(filters.permute(2, 3, 1, 0).contiguous(), transform)  # (3P * R, C, O)
            results.append(synthesise(torch.bmm(values, response), after))
            responses.append(response)
        ctx.save_for_backward(values if ctx.keeps_values else pixels, *responses)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        kept, *responses = ctx.saved_tensors
        before, transforms, after = ctx.transforms
        values = kept if ctx.keeps_values else analyse(kept, before)
        of_values, of_bank = None, []
        for gradient, response, transform in zip(gradients, responses, transforms, strict=True):
            of_products = analyse(gradient.contiguous(), after)
            of_bank.append(synthesise(torch.bmm(values.mT, of_products), transform).permute(3, 2, 0, 1))
            if ctx.needs_input_grad[0]:
                if of_values is None:
                    of_values = torch.bmm(of_products, response.mT)
                else:
                    of_values.baddbmm_(of_products, response.mT)
        of_pixels = None if of_values is None else synthesise(of_values, before)
        return of_pixels, None, None, None, *of_bank
