"""Convolutions of one map at several sizes at once, in the Fourier domain: few launches.

As `resampled.py` does for one size. Each has its own periods, so its own transforms; what all can share is shared:
the transform along columns, of which all sizes' frequencies are rows of one matrix, the making of the filters' transforms where
the weights are the same, and the products, which are one batch over the entries of all sizes. It is for GPUs (`../launches.py`
says why).

Shape letters: N batch, C channels in, O channels out, L levels (sizes), J = k^2 taps, H, W map, P, R a level's frequencies
along rows and columns, F = 3 P R entries of its transform. Sums over levels are written P+, R+, F+.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.layers.conv.dft import Transform, analyse, of_filters
from models.layers.conv.fourier_bank import taps_of
from models.layers.conv.resampled_axis import ResampledAxis, after_transform, before_transform
from models.layers.layout import to_hwnc

Place = tuple[slice, slice]  # the rows and columns of the result that a level fills


class Level(NamedTuple):
    """One size: how an axis is resampled, convolved and resampled back, and where its result belongs (None: everywhere)."""

    rows: ResampledAxis
    columns: ResampledAxis
    place: Place | None = None


class LevelMatrices(NamedTuple):
    """The transforms of a set of levels: of the maps, of the filters' taps, and back."""

    along_columns: Tensor  # (2 R+, W): the real parts of all levels, then the imaginary ones
    along_rows: tuple[Tensor, ...]  # (3P, 2H) of each level
    filters: Tensor  # (F+, J)
    after: tuple[Transform, ...]
    frequencies: tuple[int, ...]  # R of each level
    entries: tuple[int, ...]  # F of each level


def convolve_levels(maps: Tensor, filters: Tensor, levels: Sequence[Level], extents: tuple[int, int]) -> Tensor:
    """Resample (N, C, H, W), convolve with (O, C, k, k) or each level's own (L, O, C, k, k), and back: (N, O, L, *extents).

    Minus infinity where a level leaves its place. The result is in HWNC layout.
    """
    own = filters if filters.ndim == 5 else filters[None]
    matrices = _matrices(tuple((level.rows, level.columns) for level in levels), maps.dtype, maps.device)
    places = tuple(level.place for level in levels)
    result: Tensor = _LevelProducts.apply(to_hwnc(maps), own.flatten(3), matrices, places, extents)
    return result.permute(3, 4, 2, 0, 1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def _matrices(
    levels: tuple[tuple[ResampledAxis, ResampledAxis], ...], dtype: torch.dtype, device: torch.device
) -> LevelMatrices:
    """Made in float64 and rounded once."""
    exact, host = torch.float64, torch.device("cpu")
    before = [before_transform(*level, exact, host) for level in levels]
    parts = [one.along_columns.chunk(2) for one in before]
    columns = torch.cat([real for real, _ in parts] + [imaginary for _, imaginary in parts])
    filters = []
    for down, across in levels:
        transform = of_filters(range(down.taps), range(across.taps), (down.period, across.period), exact, host)
        filters.append(analyse(taps_of(down.taps).permute(1, 2, 0)[..., None].contiguous(), transform)[..., 0])
    after = [after_transform(*level, exact, host) for level in levels]

    def rounded(matrix: Tensor) -> Tensor:
        return matrix.to(device=device, dtype=dtype)

    return LevelMatrices(
        rounded(columns),
        tuple(rounded(one.along_rows) for one in before),
        rounded(torch.cat(filters)),
        tuple(Transform(*(rounded(matrix) for matrix in one)) for one in after),
        tuple(len(real) for real, _ in parts),
        tuple(len(one) for one in filters),
    )


class _LevelProducts(torch.autograd.Function):
    """(H, W, N, C) and (1 or L, O, C, J) -> (H', W', L, N, O)."""

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, own: Tensor, matrices: LevelMatrices, places: Sequence[Place | None], extents: tuple[int, int]
    ) -> Tensor:
        (height, _, n, c), o = pixels.shape, own.shape[1]
        by_column = torch.bmm(matrices.along_columns.expand(height, -1, -1), pixels.flatten(2))
        values = pixels.new_empty(len(matrices.filters), n, c)
        for level, part, seen in _parts(matrices, values, by_column.view(2 * height, -1, n * c)):
            torch.mm(matrices.along_rows[level], seen, out=part.view(len(matrices.along_rows[level]), -1))
        responses = _combined(matrices, own.flatten(1, 2)).view(-1, o, c)
        products = torch.bmm(values, responses.mT)
        whole = all(place is None for place in places)
        result = (
            pixels.new_empty(*extents, len(places), n, o)
            if whole
            else pixels.new_full((*extents, len(places), n, o), -torch.inf)
        )
        for target, after, part in zip(_targets(result, places), matrices.after, products.split(matrices.entries), strict=True):
            rows = after.along_rows.shape[1] // 2
            by_row = (after.along_rows.mT @ part.view(len(after.along_rows), -1)).view(rows, len(after.along_columns), -1)
            torch.bmm(after.along_columns.mT.expand(rows, -1, -1), by_row, out=target)
        ctx.save_for_backward(values, responses)
        ctx.matrices, ctx.places, ctx.shapes = matrices, places, (pixels.shape, own.shape)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (values, responses), matrices, (pixels, own) = ctx.saved_tensors, ctx.matrices, ctx.shapes
        o, (height, _, n, c) = own[1], pixels
        of_products = values.new_empty(len(values), n, o)
        targets = _targets(gradients[0].contiguous(), ctx.places)
        for target, after, part in zip(targets, matrices.after, of_products.split(matrices.entries), strict=True):
            by_column = torch.bmm(after.along_columns.expand(len(target), -1, -1), target).view(2 * len(target), -1)
            torch.mm(after.along_rows, by_column, out=part.view(len(after.along_rows), -1))
        of_responses = torch.bmm(of_products.mT, values).flatten(1)
        of_own = _uncombined(matrices, of_responses, own)
        if not ctx.needs_input_grad[0]:
            return None, of_own, None, None, None
        of_values = torch.bmm(of_products, responses)
        by_column = values.new_empty(2 * height, sum(matrices.frequencies), n * c)
        for level, part, seen in _parts(matrices, of_values, by_column):
            torch.mm(matrices.along_rows[level].mT, part.view(len(matrices.along_rows[level]), -1), out=seen)
        by_column = by_column.view(height, len(matrices.along_columns), -1)
        of_pixels = torch.bmm(matrices.along_columns.mT.expand(height, -1, -1), by_column)
        return of_pixels.view(pixels), of_own, None, None, None


def _parts(matrices: LevelMatrices, values: Tensor, by_column: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Of each level: its number, its entries of (F+, N, C), and its columns of (2H, R+, N*C) as a matrix (2H, R*N*C)."""
    columns = by_column.split(matrices.frequencies, dim=1)
    for level, (part, seen) in enumerate(zip(values.split(matrices.entries), columns, strict=True)):
        yield level, part, seen.as_strided((len(seen), seen[0].numel()), (by_column.stride(0), 1))


def _targets(result: Tensor, places: Sequence[Place | None]) -> list[Tensor]:
    """The part of (H', W', L, N, O) that each level fills, (h, w, N*O), as a view."""
    parts = result.flatten(3).unbind(2)
    return [part if place is None else part[place] for part, place in zip(parts, places, strict=True)]


def _combined(matrices: LevelMatrices, own: Tensor) -> Tensor:
    """The transforms of filters (1 or L, O*C, J): (F+, O*C)."""
    if len(own) == 1:
        return matrices.filters @ own[0].mT
    result = own.new_empty(len(matrices.filters), own.shape[1])
    for taps, weight, part in zip(matrices.filters.split(matrices.entries), own, result.split(matrices.entries), strict=True):
        torch.mm(taps, weight.mT, out=part)
    return result


def _uncombined(matrices: LevelMatrices, of_responses: Tensor, shape: torch.Size) -> Tensor:
    """The transpose of `_combined`, in the shape of the weights."""
    if shape[0] == 1:
        return (of_responses.mT @ matrices.filters).view(shape)
    result = of_responses.new_empty(shape)
    terms = zip(
        of_responses.split(matrices.entries), matrices.filters.split(matrices.entries), result.flatten(1, 2), strict=True
    )
    for gradient, taps, part in terms:
        torch.mm(gradient.mT, taps, out=part)
    return result
