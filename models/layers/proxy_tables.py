"""Proxy tables: what stands in for the pixels of a filter at every scale (DISCO: Sosnovik, Moskalev, Smeulders, BMVC 2021).

A filter of E x E pixels is the sum of its values times shifted deltas. At a whole scale s the delta at offset (y, x) becomes
that at (s y, s x): dilation, exact. At 1.26 there is no such pixel, so each delta becomes K x K free numbers, fitted once such
that on noise "correlate, then shrink" is "shrink, then correlate". A table has shape (F, S, K, K), F = E^2, function i E + j
for the pixel in row i, column j; its scales begin with 1. Source: the paper, with the details of its public code,
ISosnovik/disco f832fa06; the closed form is ours (docs/later-methods.md 2.9).

The loss (`proxy_loss`) is a sum of norms of what is linear in the table, so iteratively reweighted least squares finds its
minimum. The published tables were fitted by Adam to 10,000 images of noise. Here no image is drawn: all that the normal
equations need of noise uniform in [0, 1] is its second moments, E[x x'] = I / 12 + 1 1' / 4, and these are known. As shifting
and shrinking act on rows and columns alike, the equations are Kronecker products of those of one axis. So `fitted_table` is
the table of infinitely many images, has no seed, and takes about a second for seven by seven pixels of fifteen.

The two published configurations, thus fitted, lie beside this file as whole millionths, so that every machine has the same
bits; any other table is fitted when it is asked for. `python -m models.layers.proxy_tables` fits the two again.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.errors import ModelError, shown

SHIPPED = {  # effective size, size and scales -> SHA-256 of the file of their free functions
    (3, 5, (1.0, 1.41, 2.0)): "3e2dacb543b011fb512b553cc314cfe57dc527bb982ad0f9ea52d41511627c82",
    (7, 15, (1.0, 1.26, 1.59, 2.0)): "81e5289d45aa17576d5d2afafb8a20b05fb2a6250afddce9112addfb3a1b379e",
}
UNIT = 1e6  # tables are whole multiples of 1 / UNIT: BLAS libraries differ far behind that
SIDE = 154  # of the published noise images, in pixels
SEEN = 32  # pixels that a pair of scales is compared on along an axis, at least: for larger tables, images grow
VARIANCE, MEAN = 1 / 12, 1 / 2  # of the noise
ROUNDS, CONVERGED = 200, 1e-12  # of reweighting: at most; at a relative change of the free functions below this they end
LEAST_NORM = 1e-9  # a single pixel (E = 1) is a delta at every scale, and nothing is left of a pair
NEARLY_WHOLE = 1e-3  # so near to an even number, interpolation is all but blind to the finest checkerboard


def proxy_table(effective_size: int, size: int, scales: Sequence[float]) -> Tensor:
    """DISCO's table for filters of E x E pixels at these scales: float64 (E^2, S, K, K), of multiples of 1e-6.

    `size`: K, odd; `scales`: ascending from 1. The two published configurations, (7, 15) at 1, 1.26, 1.59, 2 and (3, 5) at 1,
    1.41, 2, are read from their files; any other is fitted, once per process. Raises ModelError: sizes or scales that have no
    table; a file that is missing or another.
    """
    return _table(*_checked(effective_size, size, scales)).clone()


def dilated_functions(effective_size: int, size: int, scale: float) -> Tensor:
    """A table at a whole scale, float64 (E^2, K, K): function i E + j is 1 at row c + scale (i - e), column c + scale (j - e).

    e = (E - 1) / 2, c = (K - 1) / 2. Raises ModelError: the scale is not whole, or some pixel lies outside of the table.
    """
    effective_size, size, scales = _checked(effective_size, size, sorted({1, scale}))
    if not scales[-1].is_integer():
        raise ModelError(f"DISCO table: no filter can be dilated by {shown(scale)}; give a whole scale, such as 2")
    functions = torch.zeros(effective_size, effective_size, size, size, dtype=torch.float64)
    taps = torch.arange(effective_size, device=functions.device)
    places = size // 2 + int(scales[-1]) * (taps - effective_size // 2)
    functions[taps[:, None], taps, places[:, None], places] = 1
    return functions.flatten(0, 1)


def proxy_loss(table: Tensor, images: Tensor, scales: Sequence[float]) -> Tensor:
    """How far a table is from commuting with shrinking, what tables are fitted to: a scalar, differentiable.

    Of `images` (N, 1, H, W), in the dtype of `table` (F, S, K, K): the sum over pairs of scales i < j of the L2 norm, over
    images, functions and pixels, of D(x * T_j) - D(x) * T_i, K // 2 + 1 pixels off every side. * is circular cross-correlation
    of the same size, D bicubic shrinking by r = s_j / s_i. Raises ModelError: scales or images that do not fit the table.
    """
    size, scales = _fitting(table, images, scales)
    crop = size // 2 + 1

    def correlated(maps: Tensor, functions: Tensor) -> Tensor:
        return F.conv2d(F.pad(maps, (size // 2,) * 4, mode="circular"), functions[:, None])

    loss = images.new_zeros(())
    for (i, smaller), (j, larger) in combinations(enumerate(scales), 2):
        after = _shrunk(correlated(images, table[:, j]), larger / smaller)
        before = correlated(_shrunk(images, larger / smaller), table[:, i])
        loss = loss + torch.linalg.vector_norm((after - before)[..., crop:-crop, crop:-crop])
    return loss


def _shrunk(maps: Tensor, ratio: float) -> Tensor:
    """(..., H, W) -> (..., floor(H / ratio), floor(W / ratio)), cubic (a = -0.75), without antialiasing.

    Pixel i is read at (i + 1/2) ratio - 1/2 with the ratio as it is given, not that of the rounded sizes.
    """
    return F.interpolate(maps, scale_factor=1 / ratio, mode="bicubic")


def fitted_table(effective_size: int, size: int, scales: Sequence[float], side: int | None = None) -> Tensor:
    """The table that minimizes `proxy_loss` on infinitely many images of noise: float64 (E^2, S, K, K), not rounded.

    `side`: of the images, 154 pixels as published, or more where a pair of scales would be compared on less than 32. The loss
    is convex, so there is no other minimum. Each round of reweighting solves one system of (free scales) K^2 unknowns for all
    functions. Raises ModelError: sizes or scales that have no table.
    """
    effective_size, size, scales = _checked(effective_size, size, scales)
    side = side or max(SIDE, math.ceil(scales[-1] * (2 * (size // 2 + 1) + SEEN)))
    free = [i for i, scale in enumerate(scales) if not scale.is_integer()]
    whole = {i: dilated_functions(effective_size, size, int(scale)) for i, scale in enumerate(scales) if i not in free}
    table = torch.stack([whole.get(i, torch.zeros_like(whole[0])) for i in range(len(scales))])  # (S, F, K, K)
    functions = table.flatten(2).mT.contiguous()  # (S, K^2, F)
    pairs = [pair for pair in combinations(range(len(scales)), 2) if set(pair) & set(free)]
    moments = {(i, j): _second_moments(size, scales[j] / scales[i], side) for i, j in pairs}
    weights = dict.fromkeys(pairs, 1.0)
    for _ in range(ROUNDS if free else 0):
        solved = _least_squares(functions, moments, weights, free)
        change = torch.linalg.vector_norm(solved - functions[free]) / torch.linalg.vector_norm(solved)
        functions[free] = solved
        weights = {pair: 1 / max(_norm(functions, pair, moments[pair]), LEAST_NORM) for pair in pairs}
        if change < CONVERGED:
            break
    return functions.permute(2, 0, 1).reshape(-1, len(scales), size, size)


def _least_squares(
    functions: Tensor, moments: Mapping[tuple[int, int], Tensor], weights: Mapping[tuple[int, int], float], free: list[int]
) -> Tensor:
    """The free functions, (free scales, K^2, F), with the least weighted sum of squared norms over the pairs."""
    scales, entries, count = functions.shape
    matrix = functions.new_zeros(scales, scales, entries, entries)
    for (i, j), moment in moments.items():
        for row, a in enumerate((j, i)):
            for column, b in enumerate((j, i)):
                matrix[a, b] += weights[i, j] * moment[row, :, column]
    rows = matrix[free].transpose(1, 2)  # (free, K^2, S, K^2)
    fixed = [i for i in range(scales) if i not in free]
    wanted = -(rows[:, :, fixed].flatten(2).flatten(0, 1) @ functions[fixed].flatten(0, 1))
    factor = torch.linalg.cholesky(rows[:, :, free].flatten(2).flatten(0, 1))
    return torch.cholesky_solve(wanted, factor).view(len(free), entries, count)


def _norm(functions: Tensor, pair: tuple[int, int], moment: Tensor) -> float:
    """The root mean square over images of a pair's norm in the loss."""
    both = functions[[pair[1], pair[0]]].flatten(0, 1)  # (2 K^2, F)
    square = (both * (moment.flatten(2).flatten(0, 1) @ both)).sum().item()
    return math.sqrt(max(0.0, square))  # what is 0 may be rounded to less


def _second_moments(size: int, ratio: float, side: int) -> Tensor:
    """A pair's mean square over uniform noise as a quadratic form: float64 (2, K^2, 2, K^2), larger scale first.

    With v = (T_j, T_i) of a function, v' M v = E ||D_r(x * T_j) - D_r(x) * T_i||^2 for an image x of side x side pixels.
    """
    crop, centre = size // 2 + 1, size // 2
    image = torch.eye(side, dtype=torch.float64)
    shrinking = F.interpolate(image[None, None], scale_factor=(1 / ratio, 1.0), mode="bicubic")[0, 0]  # (side / ratio, side)
    after = [shrinking.roll(tap - centre, 1) for tap in range(size)]  # the image shifted by a tap, then shrunk
    before = [shrinking.roll(centre - tap, 0) for tap in range(size)]
    axis = torch.stack(after + before)[:, crop:-crop]  # (2 K, pixels, side): of the response to each pixel of an axis
    constant = axis.sum(2)  # to a constant
    of_noise, of_mean = axis.flatten(1) @ axis.flatten(1).T, constant @ constant.T
    moment = image.new_empty(2, size**2, 2, size**2)
    for a, rows in enumerate((slice(size), slice(size, None))):
        for b, columns in enumerate((slice(size), slice(size, None))):
            noise, mean = of_noise[rows, columns], of_mean[rows, columns]
            sign = 1 if a == b else -1
            moment[a, :, b] = sign * (VARIANCE * torch.kron(noise, noise) + MEAN**2 * torch.kron(mean, mean))
    return moment


# ------------------------------------------------------------------------------------------------------------- shipped tables


@lru_cache
def _table(effective_size: int, size: int, scales: tuple[float, ...]) -> Tensor:
    with torch.device("cpu"):  # wherever the network that asks is being built
        if (effective_size, size, scales) not in SHIPPED:
            return torch.round(fitted_table(effective_size, size, scales) * UNIT) / UNIT
        free = iter(_shipped(effective_size, size, SHIPPED[effective_size, size, scales]).unbind(1))
        functions = [dilated_functions(effective_size, size, int(s)) if s.is_integer() else next(free) for s in scales]
        return torch.stack(functions, dim=1)


def _file(effective_size: int, size: int) -> Path:
    return Path(__file__).with_name(f"proxy_table_{effective_size}_{size}.npy")


def _shipped(effective_size: int, size: int, digest: str) -> Tensor:
    """The free functions, float64 (F, free scales, K, K). Raises ModelError: their file is missing or another."""
    path, again = _file(effective_size, size), "restore it from the repository, or type: python -m models.layers.proxy_tables"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}); {again}") from error
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise ModelError(f"{path} is not the table of this version (SHA-256 {found[:12]}, not {digest[:12]}); {again}")
    return torch.from_numpy(np.load(io.BytesIO(content)).astype(np.float64)) / UNIT


def _fitting(table: Tensor, images: Tensor, scales: Sequence[float]) -> tuple[int, tuple[float, ...]]:
    """The table's size and its scales as floats. Raises ModelError: something is not of the form that `proxy_loss` needs."""
    shape = tuple(table.shape)
    if len(shape) != 4 or math.isqrt(shape[0]) ** 2 != shape[0] or shape[2] != shape[3] or shape[1] != len(scales):
        wanted = f"(E^2, {len(scales)}, K, K), as proxy_table makes it"
        raise ModelError(f"DISCO table: a table of shape {shape} for {len(scales)} scales; give one of {wanted}")
    _, size, scales = _checked(math.isqrt(shape[0]), shape[-1], scales)
    least = math.ceil(scales[-1] * (size + 2))  # so that one pixel is left of the smallest image
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < least:
        wanted = f"(N, 1, H, W), of at least {least} x {least} pixels for this table"
        raise ModelError(f"DISCO table: images of shape {tuple(images.shape)}; give {wanted}")
    return size, scales


def _checked(effective_size: int, size: int, scales: Sequence[float]) -> tuple[int, int, tuple[float, ...]]:
    """The same, with scales as floats. Raises ModelError: there is no such table."""
    for name, value in (("effective size", effective_size), ("size", size)):
        if not isinstance(value, int) or value < 1 or value % 2 == 0:
            raise ModelError(f"DISCO table: {name} {shown(value)}; give an odd number of pixels, such as 7 of 15")
    if not isinstance(scales, Iterable) or not all(isinstance(scale, Real) and math.isfinite(scale) for scale in scales):
        raise ModelError(f"DISCO table: scales {shown(scales)}; give numbers, such as 1, 1.41, 2")
    given = tuple(float(scale) for scale in scales)
    if given[:1] != (1.0,) or sorted(set(given)) != list(given):
        raise ModelError(f"DISCO table: scales {shown(given)}; give them ascending, the first 1, such as 1, 1.41, 2")
    if given[-1] * (effective_size // 2) > size // 2:
        least = 2 * math.ceil(given[-1] * (effective_size // 2)) + 1
        what = f"{effective_size} x {effective_size} pixels at scale {given[-1]:g}"
        raise ModelError(f"DISCO table: size {size} cannot hold {what}; give a size of {least} or more")
    for scale in given:
        if 0 < abs(scale - round(scale)) < NEARLY_WHOLE:
            raise ModelError(f"DISCO table: scale {scale} is too near to {round(scale)} to be fitted; give {round(scale)}")
    return effective_size, size, given


def main() -> None:
    """Fit the shipped tables again, write their files, and say whether they are those of this version."""
    for (effective_size, size, scales), digest in SHIPPED.items():
        free = [i for i, scale in enumerate(scales) if not scale.is_integer()]
        millionths = torch.round(fitted_table(effective_size, size, scales)[:, free] * UNIT)
        path = _file(effective_size, size)
        np.save(path, millionths.numpy().astype("<i4"))
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name}: SHA-256 {found}, {'as' if found == digest else 'NOT as'} in this version")


if __name__ == "__main__":
    main()
