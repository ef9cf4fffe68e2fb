"""A large map cut into square tiles, each with a rim of what its outputs read beyond it.

The period of a Fourier transform is then a tile's, not the map's, and so is the size of the filters' transforms.

Shape letters: N batch, C channels in, O channels out, H, W map.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from models.layers.layout import WIDE, from_hwnc


def cut_tiles(pixels: Tensor, rim: tuple[int, int], tile: int) -> Tensor:
    """(H, W, N, C) -> overlapping tiles with their rims, zeros beyond the map: (tile + 2 rim, tile + 2 rim, tiles * N, C)."""
    tiles: Tensor = _CutTiles.apply(pixels, rim, tile)
    return tiles


def join_tiles(tiles: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(tile, tile, tiles * N, O) -> (N, O, H, W), in HWNC layout if it is wide, else width innermost."""
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
