"""Convolution as a product in the Fourier domain, with discrete Fourier transforms written as real matrix products.

A same-size convolution of an H-pixel axis with a filter reaching r pixels to each side is circular with period H + r: what
wraps around falls outside the H pixels that are kept. Periods are small and odd sizes are common (35, 21, 13), where a
matrix product beats a fast transform; one axis after the other, so that its cost stays far below the convolution's.

A product of two complex numbers, (a + ib)(c + id), takes three real ones: t = (a + b)c, u = a(d - c), v = b(c + d), of which
t - v is the real part and t + u the imaginary one. The sums cost nothing: the matrices of the transforms make them. So a
convolution is: a real matrix along each axis of maps and filters, one batch of real products, a real matrix along each axis.

In memory pixels come outermost here, (H, W, N, C): both transforms then are products with long contiguous rows, and so are
rectifying, pooling and maxima over scales afterwards (`pixels.py`).

A large map is cut into square tiles, each with a rim of what its outputs read beyond it; the period is then a tile's, not the
map's, and so is the size of the filters' transforms.

The matrices are made in float64 and rounded once.

Shape letters: N batch, C channels in, O channels out, H, W map, P, Q periods, R = Q//2 + 1 real frequencies of the second axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.layers.layout import WIDE, from_hwnc, to_hwnc

TILES = (8, 12, 16, 24)
# A filter's transform is made, read and thrown away at every step, which takes as long as so many operations per entry.
OPERATIONS_PER_ENTRY = 300
# A transform of more than so many times the maps' size is not kept for the backward pass but made again there.
KEPT_SIZE = 3


class Transform(NamedTuple):
    """Real matrices that take both axes of (rows, columns, B) to frequencies, or, transposed, back."""

    along_columns: Tensor  # (2R, columns): real parts, then imaginary ones
    along_rows: Tensor  # (3P, 2 rows): the three factors of each frequency, from (row, part) pairs


def fourier_cost(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    taps: Sequence[tuple[int, int]],
    dilation: int = 1,
) -> tuple[int, int | None]:
    """Real operations of one forward pass of `fourier_conv2d`, and the best size of tiles.

    `taps`: rows and columns of each of the filters of the bank.
    """
    most = (max(rows for rows, _ in taps), max(columns for _, columns in taps))
    periods = (extents[0] + dilation * (most[0] // 2), extents[1] + dilation * (most[1] // 2))
    best: tuple[int, int | None] = (cost(batch, channels_in, channels_out, extents, extents, taps, periods), None)
    for tile in TILES:
        if tile < max(extents):
            tiles = math.ceil(extents[0] / tile) * math.ceil(extents[1] / tile)
            seen = (tile + dilation * (most[0] - 1), tile + dilation * (most[1] - 1))
            tiled = cost(batch * tiles, channels_in, channels_out, seen, (tile, tile), taps, seen)
            best = min(best, (tiled, tile), key=lambda choice: choice[0])
    return best


def cost(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents_in: tuple[int, int],
    extents_out: tuple[int, int],
    taps: Sequence[tuple[int, int]],
    periods: tuple[int, int],
) -> int:
    """Real operations of: transform maps of `extents_in` and every filter, multiply, synthesise maps of `extents_out`."""
    p, r = periods[0], periods[1] // 2 + 1

    def operations(rows: int, columns: int) -> int:
        return 4 * rows * columns * r + 12 * p * rows * r

    maps = batch * (channels_in * operations(*extents_in) + len(taps) * channels_out * operations(*extents_out))
    filters = sum(operations(*size) + (6 * batch + OPERATIONS_PER_ENTRY) * p * r for size in taps)
    return maps + channels_in * channels_out * filters


def fourier_conv2d(maps: Tensor, bank: Sequence[Tensor], dilation: int = 1, tile: int | None = None) -> list[Tensor]:
    """Convolve (N, C, H, W) with each of several filters (O, C, kh, kw), odd sizes -> (N, O, H, W) each.

    Zero padding dilation * (k-1)/2, stride 1. The maps are transformed once, for the widest filter. `tile`: cut them into tiles
    of so many pixels. Equal to torch's `conv2d` up to rounding, in float32 or float64. In HWNC layout, but for
    those of tiles that are not deep.
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


# -------------------------------------------------------------------------------------------------------------- products


def spectral_products(
    pixels: Tensor, before: Transform, bank: Sequence[Tensor], transforms: Sequence[Transform], after: Transform
) -> tuple[Tensor, ...]:
    """Transform (H, W, N, C), multiply its channels with each filter's at each frequency, and go back: (H', W', N, O) each.

    `bank`: filters (O, C, kh, kw), each with its own of `transforms`.
    """
    results: tuple[Tensor, ...] = _SpectralProducts.apply(pixels, before, transforms, after, *bank)
    return results


def analyse(pixels: Tensor, transform: Transform) -> Tensor:
    """(rows, columns, A, B) -> (3P * R, A, B)."""
    along_columns, along_rows = transform
    by_column = torch.bmm(along_columns.expand(len(pixels), -1, -1), pixels.flatten(2))
    return (along_rows @ by_column.view(along_rows.shape[1], -1)).view(-1, *pixels.shape[2:])


def synthesise(values: Tensor, transform: Transform) -> Tensor:
    """The transpose of `analyse`: (3P * R, A, B) -> (rows, columns, A, B)."""
    along_columns, along_rows = transform
    rows = along_rows.shape[1] // 2
    by_row = (along_rows.mT @ values.view(len(along_rows), -1)).view(rows, len(along_columns), -1)
    return torch.bmm(along_columns.mT.expand(rows, -1, -1), by_row).view(rows, -1, *values.shape[1:])


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


# ----------------------------------------------------------------------------------------------------------------- tiles


def cut_tiles(pixels: Tensor, rim: tuple[int, int], tile: int) -> Tensor:
    """(H, W, N, C) -> overlapping tiles with their rims, zeros beyond the map: (tile + 2 rim, tile + 2 rim, tiles * N, C)."""
    tiles: Tensor = _CutTiles.apply(pixels, rim, tile)
    return tiles


def join_tiles(tiles: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(tile, tile, tiles * N, O) -> (N, O, H, W), HWNC layout if it is deep, else width innermost."""
    tile = len(tiles)
    down, across = math.ceil(height / tile), math.ceil(width / tile)
    parts = tiles.view(tile, tile, down, across, batch, -1)
    if tiles.shape[-1] >= WIDE:
        pixels = parts.permute(2, 0, 3, 1, 4, 5).reshape(down * tile, across * tile, batch, -1)
        return from_hwnc(pixels[:height, :width])
    joined = parts.permute(4, 5, 2, 0, 3, 1)
    return joined.reshape(batch, -1, down * tile, across * tile)[..., :height, :width]


class _CutTiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, rim: tuple[int, int], tile: int) -> Tensor:
        (height, width, _, c), ctx.rim, ctx.tile, ctx.shape = pixels.shape, rim, tile, pixels.shape
        padded, windows = _padded_map(pixels, ctx.shape, rim, tile)
        padded[rim[0] : rim[0] + height, rim[1] : rim[1] + width] = pixels
        return windows.reshape(*windows.shape[:2], -1, c)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (height, width, _, _), rim, tile = ctx.shape, ctx.rim, ctx.tile
        padded, windows = _padded_map(gradients[0], ctx.shape, rim, tile)
        gradient = gradients[0].view(windows.shape)
        for row in range(0, len(windows), tile):  # a block at a time, in which no two tiles overlap
            for column in range(0, windows.shape[1], tile):
                block = slice(row, row + tile), slice(column, column + tile)
                windows[block] += gradient[block]
        return padded[rim[0] : rim[0] + height, rim[1] : rim[1] + width], None, None


def _padded_map(like: Tensor, shape: torch.Size, rim: tuple[int, int], tile: int) -> tuple[Tensor, Tensor]:
    """Zeros in the place of (H, W, N, C) with all that tiles see beyond it, and the tiles in it, (p, q, down, across, N, C)."""
    height, width, n, c = shape
    down, across = math.ceil(height / tile), math.ceil(width / tile)
    padded = like.new_zeros(down * tile + 2 * rim[0], across * tile + 2 * rim[1], n, c)
    row, column, *rest = padded.stride()
    tiles = (tile + 2 * rim[0], tile + 2 * rim[1], down, across, n, c)
    return padded, padded.as_strided(tiles, (row, column, tile * row, tile * column, *rest))


# -------------------------------------------------------------------------------------------------------------- matrices

# What the three factors are of a value's real and imaginary part, for maps and for filters; for results, how the parts follow
# from the three products, transposed.
MAPS = ((1, 1), (1, 0), (0, 1))
FILTERS = ((1, 0), (-1, 1), (1, 1))
RESULTS = ((1, 1), (0, 1), (-1, 0))
Factors = tuple[tuple[int, int], ...]
Periods = tuple[int, int]


def waves(frequencies: int, samples: range, period: int, sign: int) -> Tensor:
    """exp(sign 2 pi i f t / period) for f = 0 .. frequencies-1 and t in samples, complex128 (f, t)."""
    angle = torch.outer(torch.arange(frequencies, dtype=torch.float64), torch.tensor(samples, dtype=torch.float64))
    return torch.polar(torch.ones_like(angle), sign * 2 * math.pi / period * angle)


def both_waves(rows: range, columns: range, periods: Periods, sign: int) -> tuple[Tensor, Tensor]:
    """The waves along both axes: (P, rows), and of half the second axis' frequencies, (R, columns)."""
    p, q = periods
    return waves(p, rows, p, sign), waves(q // 2 + 1, columns, q, sign)


def synthesis_weights(periods: Periods) -> Tensor:
    """What each of the R frequencies of the second axis counts in a map, both inverse periods included: (R, 1)."""
    q = periods[1]
    weights = torch.full((q // 2 + 1, 1), 2.0, dtype=torch.float64)
    weights[0] = 1
    if q % 2 == 0:
        weights[-1] = 1
    return weights / (periods[0] * q)


def real_transform(
    along_rows: Tensor, along_columns: Tensor, factors: Factors, dtype: torch.dtype, device: torch.device
) -> Transform:
    """The real matrices of complex128 ones, (P, rows) and (R, columns), followed by the three factors of every value."""
    parts = torch.stack(
        [
            torch.stack([along_rows.real, -along_rows.imag], dim=-1),
            torch.stack([along_rows.imag, along_rows.real], dim=-1),
        ]
    )  # (part of the value, P, rows, part of what is transformed)
    rows = torch.tensor(factors, dtype=torch.float64) @ parts.flatten(1)
    columns = torch.cat([along_columns.real, along_columns.imag])
    made = (columns, rows.view(len(factors) * len(along_rows), -1))
    return Transform(*(matrix.to(device=device, dtype=dtype) for matrix in made))


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def of_maps(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of the given pixels of a map."""
    return real_transform(*both_waves(rows, columns, periods, -1), MAPS, dtype, device)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def of_filters(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transform of a filter whose taps lie on the given pixels; cross-correlation takes the opposite sign."""
    return real_transform(*both_waves(rows, columns, periods, +1), FILTERS, dtype, device)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def of_results(rows: range, columns: range, periods: Periods, dtype: torch.dtype, device: torch.device) -> Transform:
    """The transpose of the inverse transform at the given pixels."""
    along_rows, along_columns = both_waves(rows, columns, periods, -1)
    return real_transform(along_rows, along_columns * synthesis_weights(periods), RESULTS, dtype, device)
