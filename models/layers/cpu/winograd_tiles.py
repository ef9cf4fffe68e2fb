"""The tiles of Winograd's minimal filtering: matrices that cut, evaluate and interpolate them, and where each lies in a map.

Shape letters: N batch, C channels, H, W map, K taps, A row and B column functions, m tile, P, Q points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from models.layers.conv.separable import Functions

# Besides infinity. Few and near 1 in magnitude: rounding errors grow with their powers. With these the error in float32 is some
# 1e-6 (6 points) to 4e-6 (8) of the result, that of torch's own weight gradient (tests/models/layers/test_winograd.py).
POINTS: dict[int, tuple[float, ...]] = {
    4: (0, 1, -1),
    5: (0, 1, -1, 2),
    6: (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2),
    7: (0, 1, -1, 2, -2, 1 / 2),
    8: (0, 1, -1, 2, -2, 1 / 2, -1 / 2),
}


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


class TileMatrices(NamedTuple):
    """What takes functions' weights to values at the points, maps to values, and values to tiles."""

    filters: Tensor  # (P, A)
    maps: Tensor  # (P * tiles * dilation, extent)
    tiles: Tensor  # (m, P)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def matrices_of(axis: Axis, dtype: torch.dtype, device: torch.device) -> TileMatrices:
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
    return TileMatrices(*(matrix.to(device=device, dtype=dtype) for matrix in made))


def tiled_shape(rows: Axis, columns: Axis, n: int, channels: int) -> tuple[int, ...]:
    """The shape of a map as tiles: columns and rows of a tile, tiles and phases down, tiles and phases across, N, channels."""
    return columns.tile, rows.tile, rows.tiles, rows.dilation, columns.tiles, columns.dilation, n, channels


def places(tiles: Tensor, pixels: Tensor, rows: Axis, columns: Axis) -> Iterator[tuple[Tensor, Tensor]]:
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
