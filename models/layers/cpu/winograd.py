"""Convolution by Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308, equation 8): small filters, deep maps.

An axis is cut into tiles of m output pixels. A tile and a filter of K taps are polynomials; their product is fixed by its
values at P = m + K - 1 points (one of them infinity). So both are evaluated there, a point's channels are one matrix product,
and the tile is interpolated from the P values: P*P products per weight and m*m pixels instead of K*K per pixel, all real.

Filters may combine a few products of a row function and a column function, as in `separable.py`: the functions are evaluated
beforehand and the filters never made. Taps may be `dilation` pixels apart: a tile is then every `dilation`-th pixel.

Evaluating the maps is a product with one banded matrix per axis, which cuts the tiles, zero padding included. Pixels lie
outermost in memory (`pixels.py`): these products then have long rows, and what comes out of them need not be put in order.

Shape letters: N batch, C channels in, O channels out, H, W map, K taps, A row and B column functions, m tile, P, Q points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.layers.conv.separable import Functions, without_common_zeros
from models.layers.layout import from_hwnc, to_hwnc

# Besides infinity. Few and near 1 in magnitude: rounding errors grow with their powers. With these the error in float32 is some
# 1e-6 (6 points) to 4e-6 (8) of the result, that of torch's own weight gradient (tests/models/layers/test_winograd.py).
POINTS: dict[int, tuple[float, ...]] = {
    4: (0, 1, -1),
    5: (0, 1, -1, 2),
    6: (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2),
    7: (0, 1, -1, 2, -2, 1 / 2),
    8: (0, 1, -1, 2, -2, 1 / 2, -1 / 2),
}
# Evaluated filters and maps are made, read and thrown away, which takes as long as so many operations of a direct convolution
# per entry (fitted to the measurements of docs/performance.md).
OPERATIONS_PER_FILTER_ENTRY = 220
OPERATIONS_PER_MAP_ENTRY = 400
# Values are kept for the backward pass; tiles that make more than so many per pixel gain too little to be worth the memory.
VALUES_PER_PIXEL = 4


class Axis(NamedTuple):
    """What a convolution does along one axis: functions without common zero taps, where they begin, how far taps are apart."""

    functions: Functions
    reach: int  # taps before the output's own pixel
    dilation: int
    extent: int
    tile: int

    @property
    def points(self) -> int:
        """P: values that fix a tile."""
        return self.tile + len(self.functions[0]) - 1

    @property
    def tiles(self) -> int:
        """Tiles of every phase of the dilation."""
        return math.ceil(self.extent / (self.tile * self.dilation))


def winograd_cost(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    functions: tuple[Functions, Functions],
    dilation: int = 1,
) -> tuple[float, int | None]:
    """Operations that a direct convolution does in the same time, and the best tile; (infinity, None): too many taps."""
    best: tuple[float, int | None] = (math.inf, None)
    for tile in range(2, max(POINTS)):
        rows, columns = _axes(functions, extents, tile, dilation)
        points = rows.points * columns.points
        if rows.points in POINTS and columns.points in POINTS and points <= VALUES_PER_PIXEL * tile**2:
            tiles = batch * rows.tiles * columns.tiles * dilation**2
            products = 2 * points * tiles * channels_in * channels_out
            of_maps = OPERATIONS_PER_MAP_ENTRY * points * tiles * (channels_in + channels_out)
            of_filters = OPERATIONS_PER_FILTER_ENTRY * points * channels_in * channels_out
            best = min(best, (products + of_maps + of_filters, tile), key=lambda choice: choice[0])
    return best


def winograd_conv2d(maps: Tensor, weight: Tensor, rows: Functions, columns: Functions, tile: int, dilation: int = 1) -> Tensor:
    """Convolve (N, C, H, W) with the filters of weight (O, C, A, B) -> (N, O, H, W).

    Zero padding dilation * (K-1)/2, stride 1. Equal to torch's `conv2d` with `compose(weight, rows, columns)` up to rounding.
    In HWNC layout, in the result and best in the maps too.
    """
    axes = _axes((rows, columns), (maps.shape[2], maps.shape[3]), tile, dilation)
    result: Tensor = _WinogradConv.apply(to_hwnc(maps), weight, *axes)
    return from_hwnc(result)


def identity(taps: int) -> Functions:
    """The functions of which filters are made whose weights are their taps."""
    return tuple(tuple(float(tap == function) for tap in range(taps)) for function in range(taps))


def _axes(functions: tuple[Functions, Functions], extents: tuple[int, int], tile: int, dilation: int) -> tuple[Axis, Axis]:
    rows, columns = (
        Axis(*without_common_zeros(along), dilation, extent, tile) for along, extent in zip(functions, extents, strict=True)
    )
    return rows, columns


class Matrices(NamedTuple):
    """What takes functions' weights to values at the points, maps to values, and values to tiles."""

    filters: Tensor  # (P, A)
    maps: Tensor  # (P * tiles * dilation, extent)
    tiles: Tensor  # (m, P)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def _matrices(axis: Axis, dtype: torch.dtype, device: torch.device) -> Matrices:
    """One axis' matrices, made in float64 and rounded once."""
    taps, p = len(axis.functions[0]), axis.points
    points = torch.tensor(POINTS[p], dtype=torch.float64)

    def powers(count: int) -> Tensor:  # the values of a polynomial of so many coefficients at the points
        values = torch.zeros(p, count, dtype=torch.float64)
        values[:-1] = points[:, None] ** torch.arange(count)
        values[-1, -1] = 1
        return values

    # Correlation is the transpose of a product of polynomials: maps are interpolated the other way round.
    scale = torch.ones(p, 1, dtype=torch.float64)  # values of filters and of maps then have similar sizes
    for j in range(p - 1):
        scale[j] = torch.cat([points[j] - points[:j], points[j] - points[j + 1 :]]).prod()
    analysis = torch.linalg.inv(powers(p)).mT * scale
    filters = powers(taps) / scale @ torch.tensor(axis.functions, dtype=torch.float64).mT
    cut = torch.zeros(p, axis.tiles, axis.dilation, axis.extent, dtype=torch.float64)
    for t in range(axis.tiles):
        for phase in range(axis.dilation):
            for tap in range(p):
                pixel = (t * axis.tile + tap - axis.reach) * axis.dilation + phase
                if 0 <= pixel < axis.extent:
                    cut[:, t, phase, pixel] = analysis[:, tap]
    made = (filters, cut.flatten(0, 2), powers(axis.tile).mT)
    return Matrices(*(matrix.to(device=device, dtype=dtype) for matrix in made))


class _WinogradConv(torch.autograd.Function):
    """(H, W, N, C) and (O, C, A, B) -> (H, W, N, O)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, rows: Axis, columns: Axis) -> Tensor:
        (height, width, n, _), o = pixels.shape, len(weight)
        along_rows, along_columns = (_matrices(axis, pixels.dtype, pixels.device) for axis in (rows, columns))
        values = _values_of_maps(pixels, along_rows, along_columns, columns.points, rows.points)
        filters = _both(along_rows.filters, along_columns.filters) @ weight.flatten(2).flatten(0, 1).mT
        filters = filters.view(-1, *weight.shape[:2])
        products = torch.bmm(values, filters.mT)
        tiles = torch.kron(along_columns.tiles, along_rows.tiles) @ products.flatten(1)
        result = pixels.new_empty(height, width, n, o)
        for part, place in _places(tiles.view(_tiled(rows, columns, n, o)), result, rows, columns):
            place.copy_(part)
        ctx.axes, ctx.shapes = (rows, columns), (pixels.shape, weight.shape)
        ctx.save_for_backward(filters, values)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (filters, values), (rows, columns), (pixels, weights) = ctx.saved_tensors, ctx.axes, ctx.shapes
        along_rows, along_columns = (_matrices(axis, values.dtype, values.device) for axis in (rows, columns))
        (height, _, n, c), o = pixels, weights[0]
        tiles = values.new_zeros(_tiled(rows, columns, n, o))
        for part, place in _places(tiles, gradients[0], rows, columns):
            part.copy_(place)
        of_products = torch.kron(along_columns.tiles, along_rows.tiles).mT @ tiles.view(rows.tile * columns.tile, -1)
        of_products = of_products.view(len(values), -1, o)
        of_filters = torch.bmm(of_products.mT, values)
        # In this order a third of the time of its transpose.
        of_taps = _both(along_rows.filters, along_columns.filters).mT @ of_filters.flatten(1)
        of_weight = of_taps.mT.reshape(weights)
        if not ctx.needs_input_grad[0]:
            return None, of_weight, None, None
        of_values = torch.bmm(of_products, filters).view(columns.points, len(along_rows.maps), -1)
        by_column = torch.bmm(along_rows.maps.mT.expand(columns.points, -1, -1), of_values)
        by_column = by_column.transpose(0, 1).reshape(height, -1, n * c)
        return torch.bmm(along_columns.maps.mT.expand(height, -1, -1), by_column).view(pixels), of_weight, None, None


def _values_of_maps(pixels: Tensor, along_rows: Matrices, along_columns: Matrices, q: int, p: int) -> Tensor:
    """(H, W, N, C) -> (Q*P, tiles * N, C)."""
    height, c = len(pixels), pixels.shape[3]
    by_column = torch.bmm(along_columns.maps.expand(height, -1, -1), pixels.flatten(2)).view(height, q, -1)
    # One column point at a time: the tiles of each point then come out side by side, and nothing is copied.
    return torch.bmm(along_rows.maps.expand(q, -1, -1), by_column.transpose(0, 1)).view(q * p, -1, c)


def _both(along_rows: Tensor, along_columns: Tensor) -> Tensor:
    """(P, A) and (Q, B) -> (Q*P, A*B)."""
    return torch.einsum("pa,qb->qpab", along_rows, along_columns).flatten(2).flatten(0, 1)


def _tiled(rows: Axis, columns: Axis, n: int, channels: int) -> tuple[int, ...]:
    """The shape of a map as tiles: columns and rows of a tile, tiles and phases down, tiles and phases across, N, channels."""
    return columns.tile, rows.tile, rows.tiles, rows.dilation, columns.tiles, columns.dilation, n, channels


def _places(tiles: Tensor, pixels: Tensor, rows: Axis, columns: Axis) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of views, of parts of a map's tiles and of their places in (H, W, N, C); what lies beyond the map has none."""
    for (tile_row, row_tiles, row_phases), place_rows in _pieces(rows):
        for (tile_column, column_tiles, column_phases), place_columns in _pieces(columns):
            part = tiles[tile_column, tile_row, row_tiles, row_phases, column_tiles, column_phases]
            across, down, r, s, t, u = part.shape[:6]
            place = pixels[place_rows, place_columns].unflatten(1, (t, across, u)).unflatten(0, (r, down, s))
            yield part, place.permute(4, 1, 0, 2, 3, 5, 6, 7)


def _pieces(axis: Axis) -> list[tuple[tuple[slice, slice, slice], slice]]:
    """Which of a tile's pixels, of the tiles and of the phases, with which pixels of the axis: whole tiles, then the rest."""
    every, span = slice(None), axis.tile * axis.dilation
    whole, rest = divmod(axis.extent, span)
    lines, phases = divmod(rest, axis.dilation)
    last, begin = slice(whole, whole + 1), whole * span
    pieces = [
        ((every, slice(whole), every), slice(begin)),
        ((slice(lines), last, every), slice(begin, begin + lines * axis.dilation)),
        ((slice(lines, lines + 1), last, slice(phases)), slice(axis.extent - phases, axis.extent)),
    ]
    return [piece for piece, size in zip(pieces, (whole, lines, phases), strict=True) if size]
