"""The '+' augmentations, on whole batches: the rescaling of MNIST-scale here first, crop, flip and cutout of STL-10 below.

MNIST-scale: rescaling exactly as Pillow rescales one image.

Pillow's `Image.transform(size, AFFINE, (a, 0, c, 0, a, c), BICUBIC)` with a = 1/s samples every output pixel centre at
a*x + c by cubic convolution (coefficient -1) on 4 x 4 taps. A scaling is separable: cubics along the columns, then along the
rows, with the same taps. Done in double precision and in Pillow's own order of operations, so not one pixel differs and
every device gives the same images.

On the CPU the same taps are matrix products first, in a third of the time. These round differently, so what comes out next to
a whole number, below which Pillow would truncate to another value, is computed once more in Pillow's order: one pixel in 800.

Shape letters: N batch, H side of the (square) images, M pixels of any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from datasets.errors import DataError

CHUNK = 1000  # images at a time on the CPU, so that what is made of them stays small
UNSURE = 1e-6  # how near to a whole number a matrix product leaves open which side Pillow is on; its own error is 1e-12


def draw_scales(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`count` factors, uniform in the factor itself (not its logarithm): float64 (count,), on the generator's device."""
    return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=generator, device=generator.device)


def scale_affine(images: Tensor, scales: Tensor, *, centre: float = 14.5) -> Tensor:
    """Rescale each image about a fixed point: uint8 (N, 1, H, H), factors (N,) -> uint8 (N, 1, H, H); outside is 0.

    `centre` in pixels: 14.5 is the published code's (a half pixel beside the middle of 28 pixels), 14.0 the middle.
    Runs on the images' device. Raises DataError: another shape or type.
    """
    square = images.ndim == 4 and images.shape[1] == 1 and images.shape[2] == images.shape[3]
    if not square or images.dtype != torch.uint8 or scales.shape != images.shape[:1]:
        raise DataError(
            f"scale_affine takes uint8 images (N, 1, H, H) and N scales, "
            f"not {images.dtype} {tuple(images.shape)} and {tuple(scales.shape)}"
        )
    scales = scales.to(images.device, torch.float64)
    count = CHUNK if images.device.type == "cpu" else max(1, len(images))
    chunks = zip(images.split(count), scales.split(count), strict=True)
    return torch.cat([_scale(*chunk, centre) for chunk in chunks]) if len(images) else images.clone()


class Taps(NamedTuple):
    """What an axis of the result is made of, the same for rows and columns; (N, H) each."""

    positions: list[Tensor]  # int64, of the four neighbours
    fraction: Tensor  # float64, how far from the second to the third
    inside: Tensor  # bool, whether a pixel comes from within the image


def _scale(images: Tensor, scales: Tensor, centre: float) -> Tensor:
    size = images.shape[-1]
    a = 1 / scales
    # In this order and in double precision, as the published transform computes it.
    c = ((a * -centre) + (0 * -centre)) + centre
    centres = torch.arange(size, dtype=torch.float64, device=a.device) + 0.5
    position = a[:, None] * centres + c[:, None]
    left = torch.floor(position - 0.5)
    positions = [(left.long() + offset).clamp_(0, size - 1) for offset in (-1, 0, 1, 2)]
    taps = Taps(positions, (position - 0.5) - left, (position >= 0) & (position < size))
    # Which pixels are in doubt the host would have to wait for on a GPU.
    return (_by_products if images.device.type == "cpu" else _in_order)(images[:, 0], taps)[:, None]


def _in_order(images: Tensor, taps: Taps) -> Tensor:
    """Every pixel in Pillow's order of operations: (N, H, H) -> (N, H, H)."""

    def between_rows(values: Tensor) -> Tensor:  # whole rows are gathered, not pixels one by one
        count, size, _ = values.shape
        rows, first = values.reshape(-1, size), size * torch.arange(count, device=values.device)[:, None]
        neighbours = (rows.index_select(0, (first + tap).flatten()).view(values.shape) for tap in taps.positions)
        return _cubic(neighbours, taps.fraction[:, :, None])

    result = _truncated(between_rows(between_rows(images.mT.double()).mT))  # along the columns first
    within = taps.inside.view(torch.uint8)
    return result.mul_(within[:, :, None]).mul_(within[:, None, :])


def _by_products(images: Tensor, taps: Taps) -> Tensor:
    """The same by matrix products, and in order only where these leave it open: (N, H, H) -> (N, H, H)."""
    d = taps.fraction
    coefficients = torch.stack([((2 - d) * d - 1) * d, (d - 2) * d * d + 1, ((1 - d) * d + 1) * d, (d - 1) * d * d], dim=-1)
    positions = torch.stack(taps.positions, dim=-1)
    matrices = torch.zeros(images.shape, dtype=d.dtype)
    matrices.scatter_add_(2, positions, coefficients.masked_fill_(~taps.inside[..., None], 0))
    values = matrices @ (images.to(d.dtype) @ matrices.mT)
    result = _truncated(values - UNSURE)
    n, row, column = (result != _truncated(values.add_(UNSURE))).nonzero(as_tuple=True)
    seen = images[n[:, None, None], positions[n, row][:, :, None], positions[n, column][:, None, :]].double()  # (M, 4, 4)
    by_row = _cubic(seen.unbind(2), d[n, column][:, None])
    result[n, row, column] = _truncated(_cubic(by_row.unbind(1), d[n, row]))
    return result


def _truncated(values: Tensor) -> Tensor:
    """As Pillow makes bytes of numbers; changes them."""
    return values.clamp_(0, 255).to(torch.uint8)


def _cubic(neighbours: Iterable[Tensor], d: Tensor) -> Tensor:
    """Interpolate between the second and the third of four neighbours, at the fraction d of the way."""
    v1, v2, v3, v4 = neighbours
    # v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 - v3 + v4))), in this order
    cubic = (v2 - v1).sub_(v3).add_(v4).mul_(d)
    square = v3.add(v1 - v2, alpha=2).sub_(v4).add_(cubic).mul_(d)
    return (v3 - v1).add_(square).mul_(d).add_(v2)


# -------------------------------------------------------------------------------------------------------------- STL-10


@dataclass(frozen=True)
class Stl10Draws:
    """The random numbers of N images: the crop's corner in the padded image, whether to flip, the cutout's centre."""

    rows: Tensor  # int64 (N,), 0 .. 2 pad
    columns: Tensor
    flips: Tensor  # bool (N,)
    cutout_rows: Tensor  # int64 (N,), 0 .. extent-1
    cutout_columns: Tensor

    def take(self, which: Tensor | slice) -> Stl10Draws:
        return self.each(lambda numbers: numbers[which])

    def to(self, device: torch.device) -> Stl10Draws:
        return self.each(lambda numbers: numbers.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Stl10Draws:
        """The same with `change` made to each of the tensors."""
        return Stl10Draws(*(change(getattr(self, part.name)) for part in fields(self)))

    def copy_(self, other: Stl10Draws) -> None:
        """Become other draws of as many images, in the same memory."""
        for part in fields(self):
            getattr(self, part.name).copy_(getattr(other, part.name))


def draw_stl10(count: int, generator: torch.Generator, *, pad: int = 12, extent: int = 96) -> Stl10Draws:
    """Draw for `count` images of `extent` pixels, on the generator's device."""

    def below(limit: int) -> Tensor:
        return torch.randint(limit, (count,), generator=generator, device=generator.device)

    return Stl10Draws(below(2 * pad + 1), below(2 * pad + 1), below(2).bool(), below(extent), below(extent))


def crop_flip(images: Tensor, draws: Stl10Draws, *, pad: int = 12) -> Tensor:
    """Pad with zeros, crop to the old size, flip left and right where told: uint8 (N, C, H, W) -> uint8 (N, C, H, W)."""
    count, channels, height, width = images.shape
    padded = F.pad(images, (pad, pad, pad, pad))
    device = images.device
    rows = draws.rows[:, None] + torch.arange(height, device=device)
    steps = torch.arange(width, device=device)
    columns = draws.columns[:, None] + torch.where(draws.flips[:, None], width - 1 - steps, steps)
    which, channel = torch.arange(count, device=device), torch.arange(channels, device=device)
    return padded[which[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def cutout(images: Tensor, draws: Stl10Draws, *, side: int = 32, colour: Tensor | None = None) -> Tensor:
    """Set a square of each normalised image to 0, the mean colour, in all channels: float (N, C, H, W) -> a new one.

    `colour` (1, C, 1, 1): of the square in images that are not normalised.
    The square's rows are max(0, y - side/2) to min(H, y + side/2) - 1 about its centre's row y, and so its columns: at the
    border it is cut off (DeVries & Taylor 2017, arXiv 1708.04552).
    """

    def hidden(centres: Tensor, extent: int) -> Tensor:
        places = torch.arange(extent, device=images.device)
        return (places >= centres[:, None] - side // 2) & (places < centres[:, None] + side // 2)

    height, width = images.shape[-2:]
    square = hidden(draws.cutout_rows, height)[:, None, :, None] & hidden(draws.cutout_columns, width)[:, None, None, :]
    return images.masked_fill(square, 0) if colour is None else torch.where(square, colour, images)
