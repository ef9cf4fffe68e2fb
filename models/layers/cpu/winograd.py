"""Convolution by Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308, equation 8): small filters, wide maps.

An axis is cut into tiles of m output pixels. A tile and a filter of K taps are polynomials; their product is fixed by its
values at P = m + K - 1 points (one of them infinity). So both are evaluated there, a point's channels are one matrix product,
and the tile is interpolated from the P values: P*P products per weight and m*m pixels instead of K*K per pixel, all real.

Filters may combine a few products of a row function and a column function (`../conv/separable.py`): these are evaluated
beforehand and the filters never made. Taps may be `dilation` pixels apart: a tile is then every `dilation`-th pixel.

Evaluating the maps is a product with one banded matrix per axis, which cuts the tiles, zero padding included. In HWNC
layout (layout.py) these products have long rows, and what comes out of them need not be put in order.

Shape letters: N batch, C channels in, O channels out, H, W map, K taps, A row and B column functions, m tile, P, Q points.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from models.layers.conv import Sizes
from models.layers.conv.separable import Functions, without_common_zeros
from models.layers.cpu.winograd_tiles import POINTS, Axis, TileMatrices, matrices_of, places, tiled_shape
from models.layers.layout import from_hwnc, to_hwnc

# Evaluated filters and maps are made, read and thrown away, which takes as long as so many operations of a direct convolution
# per entry (fitted to the measurements of docs/performance.md).
OPERATIONS_PER_FILTER_ENTRY = 220
OPERATIONS_PER_MAP_ENTRY = 400
# Values are kept for the backward pass; tiles that make more than so many per pixel gain too little to be worth the memory.
VALUES_PER_PIXEL = 4


def winograd_cost(sizes: Sizes, functions: tuple[Functions, Functions], dilation: int = 1) -> tuple[float, int | None]:
    """Operations that a direct convolution does in the same time, and the best tile; (infinity, None): too many taps."""
    batch, channels_in, channels_out, extents = sizes
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
    In HWNC layout, the result and best the maps too.
    """
    axes = _axes((rows, columns), (maps.shape[2], maps.shape[3]), tile, dilation)
    result: Tensor = _WinogradConv.apply(to_hwnc(maps), weight, *axes)
    return from_hwnc(result)


def taps_alone(taps: int) -> Functions:
    """The functions of which filters are made whose weights are their taps."""
    return tuple(tuple(float(tap == function) for tap in range(taps)) for function in range(taps))


def _axes(functions: tuple[Functions, Functions], extents: tuple[int, int], tile: int, dilation: int) -> tuple[Axis, Axis]:
    rows, columns = (
        Axis(*without_common_zeros(along), dilation, extent, tile) for along, extent in zip(functions, extents, strict=True)
    )
    return rows, columns


class _WinogradConv(torch.autograd.Function):
    """(H, W, N, C) and (O, C, A, B) -> (H, W, N, O)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, rows: Axis, columns: Axis) -> Tensor:
        (height, width, n, _), o = pixels.shape, len(weight)
        along_rows, along_columns = (matrices_of(axis, pixels.dtype, pixels.device) for axis in (rows, columns))
        values = _values_of_maps(pixels, along_rows, along_columns, columns.points, rows.points)
        filters = _both(along_rows.filters, along_columns.filters) @ weight.flatten(2).flatten(0, 1).mT
        filters = filters.view(-1, *weight.shape[:2])
        products = torch.bmm(values, filters.mT)
        tiles = torch.kron(along_columns.tiles, along_rows.tiles) @ products.flatten(1)
        result = pixels.new_empty(height, width, n, o)
        for part, place in places(tiles.view(tiled_shape(rows, columns, n, o)), result, rows, columns):
            place.copy_(part)
        ctx.axes, ctx.shapes = (rows, columns), (pixels.shape, weight.shape)
        ctx.save_for_backward(filters, values)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (filters, values), (rows, columns), (pixels, weights) = ctx.saved_tensors, ctx.axes, ctx.shapes
        along_rows, along_columns = (matrices_of(axis, values.dtype, values.device) for axis in (rows, columns))
        (height, _, n, c), o = pixels, weights[0]
        tiles = values.new_zeros(tiled_shape(rows, columns, n, o))
        for part, place in places(tiles, gradients[0], rows, columns):
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


def _values_of_maps(pixels: Tensor, along_rows: TileMatrices, along_columns: TileMatrices, q: int, p: int) -> Tensor:
    """(H, W, N, C) -> (Q*P, tiles * N, C)."""
    height, c = len(pixels), pixels.shape[3]
    by_column = torch.bmm(along_columns.maps.expand(height, -1, -1), pixels.flatten(2)).view(height, q, -1)
    # One column point at a time: the tiles of each point then come out side by side, and nothing is copied.
    return torch.bmm(along_rows.maps.expand(q, -1, -1), by_column.transpose(0, 1)).view(q * p, -1, c)


def _both(along_rows: Tensor, along_columns: Tensor) -> Tensor:
    """(P, A) and (Q, B) -> (Q*P, A*B)."""
    return torch.einsum("pa,qb->qpab", along_rows, along_columns).flatten(2).flatten(0, 1)
