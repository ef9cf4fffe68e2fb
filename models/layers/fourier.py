"""Convolution as a product in the Fourier domain, with discrete Fourier transforms written as matrix products.

A same-size convolution of an H-pixel axis with a filter reaching r pixels to each side is circular with period H + r: what
wraps around falls outside the H pixels that are kept. Periods are small and odd sizes are common (35, 21, 13), where a
matrix product beats a fast transform; one axis after the other, so that its cost stays far below the convolution's.

A large map is cut into square tiles, each with a rim of what its outputs read beyond it; the period is then a tile's, not the
map's, and so is the size of the filters' transforms.

The matrices are made in float64 and rounded once.

Shape letters: N batch, C channels in, O channels out, H, W map, P, Q periods, R = Q//2 + 1 real frequencies of the second axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

TILES = (8, 12, 16, 24)
# A filter's transform is made, read and thrown away at every step, which takes as long as so many operations per entry.
OPERATIONS_PER_ENTRY = 120
# A transform of more than so many times the maps' size is not kept for the backward pass but made again there.
KEPT_SIZE = 3

Matrices = tuple[Tensor, Tensor]


def _period(extent: int, taps: int, dilation: int) -> int:
    return extent + dilation * (taps // 2)


def fourier_cost(
    batch: int,
    channels_in: int,
    channels_out: int,
    extents: tuple[int, int],
    taps: Sequence[tuple[int, int]],
    dilation: int = 1,
) -> tuple[int, int | None]:
    """Real operations of one forward pass of `fourier_conv2d` (a complex multiply-add counts 8), and the best size of tiles.

    `taps`: rows and columns of each of the filters of the bank.
    """
    most = (max(rows for rows, _ in taps), max(columns for _, columns in taps))
    periods = (_period(extents[0], most[0], dilation), _period(extents[1], most[1], dilation))
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
        return 4 * rows * columns * r + 8 * p * rows * r

    maps = batch * (channels_in * operations(*extents_in) + len(taps) * channels_out * operations(*extents_out))
    filters = sum(operations(*size) + (8 * batch + OPERATIONS_PER_ENTRY) * p * r for size in taps)
    return maps + channels_in * channels_out * filters


def fourier_conv2d(maps: Tensor, bank: Sequence[Tensor], dilation: int = 1, tile: int | None = None) -> list[Tensor]:
    """Convolve (N, C, H, W) with each of several filters (O, C, kh, kw), odd sizes -> (N, O, H, W) each.

    Zero padding dilation * (k-1)/2, stride 1. The maps are transformed once, for the widest filter. `tile`: cut them into tiles
    of so many pixels. Equal to torch's `conv2d` up to rounding, in float32 or float64.
    """
    (n, _, height, width), kind = maps.shape, (maps.dtype, maps.device)
    reach = [dilation * (max(filters.shape[axis] for filters in bank) // 2) for axis in (2, 3)]  # pixels to each side
    if tile is None:
        p, q = height + reach[0], width + reach[1]
        begins, high, wide, source = (0, 0), height, width, maps
        before = (exponentials(p, range(height), p, -1, *kind), exponentials(q // 2 + 1, range(width), q, -1, *kind))
    else:
        p, q = tile + 2 * reach[0], tile + 2 * reach[1]
        begins, high, wide = (reach[0], reach[1]), tile, tile  # a tile begins with its rim
        source, before = spectra_of_tiles(maps, (reach[0], reach[1]), tile), None
    responses = [_response(filters, dilation, begins, (p, q)) for filters in bank]
    after = (exponentials(p, range(high), p, +1, *kind).mT / p, real_synthesis(q, wide, *kind))
    results = spectral_products(source, before, responses, after)
    return [result if tile is None else _without_tiles(result, n, height, width) for result in results]


def _without_tiles(result: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(N * tiles, O, tile, tile) -> (N, O, H, W)."""
    _, o, tile, _ = result.shape
    down, across = math.ceil(height / tile), math.ceil(width / tile)
    result = result.view(batch, down, across, o, tile, tile).permute(0, 3, 1, 4, 2, 5)
    return result.reshape(batch, o, down * tile, across * tile)[..., :height, :width]


def _response(filters: Tensor, dilation: int, begins: tuple[int, int], periods: tuple[int, int]) -> Tensor:
    """Transform filters (O, C, kh, kw), centred on the pixel `begins` -> (P, R, O, C)."""
    # Cross-correlation: the transform is taken with the opposite sign.
    (rows, columns), (p, q), kind = filters.shape[2:], periods, (filters.dtype, filters.device)
    at_rows, at_columns = (
        range(begin - dilation * (k // 2), begin + dilation * (k // 2) + 1, dilation)
        for begin, k in zip(begins, (rows, columns), strict=True)
    )
    return transform(filters, exponentials(p, at_rows, p, +1, *kind), exponentials(q // 2 + 1, at_columns, q, +1, *kind))


def transform(values: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    """Transform real (A, B, rows, columns) -> complex (P, R, A, B) with complex (P, rows) and (R, columns)."""
    spectra: Tensor = _Transform.apply(values, along_rows, along_columns)
    return spectra


def spectra_of_tiles(maps: Tensor, rim: tuple[int, int], tile: int) -> Tensor:
    """As `transform` of maps (N, C, H, W), each axis cut into overlapping tiles just before -> (P, R, N * tiles, C).

    `rim`: pixels on each side of a tile, in rows and columns, that it shares with its neighbours.
    """
    spectra: Tensor = _TileSpectra.apply(maps, rim, tile)
    return spectra


def spectral_products(
    source: Tensor, before: Matrices | None, responses: Sequence[Tensor], after: Matrices
) -> tuple[Tensor, ...]:
    """Transform (N, C, H, W), multiply its channels with each filter's (P, R, O, C) at each frequency, and go back to maps.

    Real (N, O, H', W') for each filter. `before`: complex (P, H) and (R, W), as for `transform`; None: `source` is the
    transform already, (P, R, N, C). `after`: complex (H', P) and real (2R, W').
    """
    maps: tuple[Tensor, ...] = _SpectralProducts.apply(source, before, after, *responses)
    return maps


def _transform(values: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    (a, b, rows, columns), (r, _) = values.shape, along_columns.shape
    pairs = torch.view_as_real(along_columns).permute(1, 0, 2).reshape(columns, 2 * r)
    by_column = torch.view_as_complex((values.reshape(-1, columns) @ pairs).view(a * b, rows, r, 2))
    return (along_rows @ by_column.permute(1, 2, 0).reshape(rows, r * a * b)).view(-1, r, a, b)


def _synthesise(spectra: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    p, r, n, o = spectra.shape
    by_row = (along_rows @ spectra.reshape(p, r * n * o)).view(-1, r, n, o)
    pairs = torch.view_as_real(by_row.permute(2, 3, 0, 1).contiguous()).view(-1, 2 * r)
    return (pairs @ along_columns).view(n, o, len(along_rows), -1)


# The two are each other's transposes, which is all that their backward passes need, provided that these pass on complex
# conjugates of gradients. Left to autograd, every product's backward pass would first write conjugates of both its factors.


class _Transform(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
        ctx.matrices = along_rows, along_columns
        return _transform(values, along_rows, along_columns)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        conjugate = gradients[0].conj().resolve_conj()  # nothing to resolve in what the class below leaves
        return _transform_backward(conjugate, *ctx.matrices), None, None


def _transform_backward(conjugate: Tensor, along_rows: Tensor, along_columns: Tensor) -> Tensor:
    pairs = torch.stack([along_columns.real, -along_columns.imag], dim=1).flatten(0, 1)
    return _synthesise(conjugate, along_rows.mT, pairs)


class _TileSpectra(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, rim: tuple[int, int], tile: int) -> Tensor:
        (n, c, height, width), kind = maps.shape, (maps.dtype, maps.device)
        down, across = math.ceil(height / tile), math.ceil(width / tile)
        p, q = tile + 2 * rim[0], tile + 2 * rim[1]
        ctx.sizes, ctx.rim, ctx.tile = (n, c, height, width, down, across), rim, tile
        ctx.matrices = exponentials(p, range(p), p, -1, *kind), exponentials(q // 2 + 1, range(q), q, -1, *kind)
        along_rows, along_columns = ctx.matrices
        r = len(along_columns)
        padded = F.pad(maps, (rim[1], across * tile - width + rim[1], rim[0], down * tile - height + rim[0]))
        pairs = torch.view_as_real(along_columns).permute(1, 0, 2).reshape(q, 2 * r)
        by_column = (padded.unfold(3, q, tile).reshape(-1, q) @ pairs).view(n, c, padded.shape[2], across, r, 2)
        tiles = torch.view_as_complex(by_column).unfold(2, p, tile).permute(5, 4, 0, 2, 3, 1)  # (P, R, N, down, across, C)
        spectra: Tensor = (along_rows @ tiles.reshape(p, -1)).view(p, r, n * down * across, c)
        return spectra

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (n, c, height, width, down, across), (along_rows, along_columns) = ctx.sizes, ctx.matrices
        p, r = len(along_rows), len(along_columns)
        conjugate = gradients[0].conj().resolve_conj()
        by_row = (along_rows.mT @ conjugate.reshape(p, -1)).view(p, r, n, down, across, c)
        rows = _overlap_add(by_row.permute(2, 5, 3, 0, 4, 1), ctx.tile)[:, :, ctx.rim[0] : ctx.rim[0] + height]
        pairs = torch.stack([along_columns.real, -along_columns.imag], dim=1).flatten(0, 1)
        by_column = torch.view_as_real(rows.contiguous()).view(n, c * height, across, 2 * r) @ pairs
        columns: Tensor = _overlap_add(by_column, ctx.tile)[..., ctx.rim[1] : ctx.rim[1] + width]
        return columns.reshape(n, c, height, width), None, None


def _overlap_add(pieces: Tensor, tile: int) -> Tensor:
    """Add up pieces (A, B, count, size, ...), `tile` samples from one's beginning to the next's -> (A, B, samples, ...)."""
    a, b, count, size, *rest = pieces.shape
    chunks = math.ceil(size / tile)
    whole = pieces.new_zeros(a, b, count + chunks - 1, tile, *rest)
    for chunk in range(chunks):
        part = pieces[:, :, :, chunk * tile : (chunk + 1) * tile]
        whole[:, :, chunk : chunk + count, : part.shape[3]] += part
    return whole.flatten(2, 3)


class _SpectralProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, before: Matrices | None, after: Matrices, *responses: Tensor) -> tuple[Tensor, ...]:
        spectra = source if before is None else _transform(source, *before)
        ctx.before, ctx.after = before, after
        ctx.keeps_spectra = before is None or 2 * spectra.numel() <= KEPT_SIZE * source.numel()
        ctx.save_for_backward(spectra if ctx.keeps_spectra else source, *responses)
        results = []
        for response in responses:  # one by one: the products are the largest tensors here
            products = torch.bmm(spectra.flatten(0, 1), response.flatten(0, 1).mT)
            results.append(_synthesise(products.view(*spectra.shape[:3], -1), *after))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kept, *responses = ctx.saved_tensors
        along_rows, along_columns = ctx.after
        waves = torch.complex(along_columns[0::2], -along_columns[1::2])
        spectra = kept if ctx.keeps_spectra else _transform(kept, *ctx.before)
        seen, of_spectra, of_responses = spectra.flatten(0, 1), None, []
        for gradient, response in zip(gradients, responses, strict=True):
            conjugate = _transform(gradient, along_rows.mT, waves).flatten(0, 1)
            of_responses.append(torch.bmm(conjugate.mT, seen).view_as(response).conj())
            if ctx.needs_input_grad[0]:
                if of_spectra is None:
                    of_spectra = torch.bmm(conjugate, response.flatten(0, 1))
                else:
                    of_spectra.baddbmm_(conjugate, response.flatten(0, 1))
        if of_spectra is None:
            return None, None, None, *of_responses
        of_spectra = of_spectra.view_as(spectra)
        of_source = of_spectra.conj() if ctx.before is None else _transform_backward(of_spectra, *ctx.before)
        return of_source, None, None, *of_responses


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def exponentials(frequencies: int, samples: range, period: int, sign: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """exp(sign 2 pi i f t / period) for f = 0 .. frequencies-1 and t in samples, complex (f, t)."""
    f = torch.arange(frequencies, dtype=torch.float64)
    t = torch.tensor(samples, dtype=torch.float64)
    angle = sign * 2 * math.pi / period * torch.outer(f, t)
    return torch.complex(angle.cos(), angle.sin()).to(device=device, dtype=dtype.to_complex())


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def real_synthesis(period: int, samples: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix (2R, samples) from half a spectrum, as (real, imaginary) pairs, to the first real samples of the period."""
    r = period // 2 + 1
    weight = torch.full((r, 1), 2.0, dtype=torch.float64)
    weight[0] = 1
    if period % 2 == 0:
        weight[-1] = 1
    wave = exponentials(r, range(samples), period, +1, torch.float64, torch.device("cpu")) * weight / period
    return torch.stack([wave.real, -wave.imag], dim=1).reshape(2 * r, samples).to(device=device, dtype=dtype)
