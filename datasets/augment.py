"""The '+' augmentation: rescaling a whole batch exactly as Pillow rescales one image.

Pillow's `Image.transform(size, AFFINE, (a, 0, c, 0, a, c), BICUBIC)` with a = 1/s samples every output pixel centre at
a*x + c by cubic convolution (coefficient -1) on 4 x 4 taps. A scaling is separable: cubics along the columns, then along the
rows, with the same taps. Done in double precision and in Pillow's own order of operations, so not one pixel differs and
every device gives the same images. (The same taps as matrix products take half the time, but round differently: pixels that
should be whole numbers then fall below them and are truncated.)

Shape letters: N batch, H side of the (square) images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.errors import DataError

CHUNK = 1000  # images at a time: about 50 MB of intermediate values


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
    chunks = zip(images.split(CHUNK), scales.split(CHUNK), strict=True)
    return torch.cat([_scale(*chunk, centre) for chunk in chunks]) if len(images) else images.clone()


def _scale(images: Tensor, scales: Tensor, centre: float) -> Tensor:
    size = images.shape[-1]
    a = 1 / scales
    # In this order and in double precision, as the published transform computes it.
    c = ((a * -centre) + (0 * -centre)) + centre
    centres = torch.arange(size, dtype=torch.float64, device=a.device) + 0.5
    position = a[:, None] * centres + c[:, None]
    inside = (position >= 0) & (position < size)
    left = torch.floor(position - 0.5)
    fraction = (position - 0.5) - left
    taps = [(left.long() + offset).clamp_(0, size - 1) for offset in (-1, 0, 1, 2)]
    values = _cubic(images[:, 0].double(), taps, fraction)
    values = _cubic(values.mT, taps, fraction).mT
    values = torch.where(inside[:, :, None] & inside[:, None, :], values, 0)
    return values.clamp_(0, 255).to(torch.uint8)[:, None]  # truncated, as Pillow does


def _cubic(values: Tensor, taps: list[Tensor], fraction: Tensor) -> Tensor:
    """Interpolate along the last axis: (N, H, H) at the four neighbours (N, H) of each position -> (N, H, H)."""
    v1, v2, v3, v4 = (values.gather(2, tap[:, None, :].expand_as(values)) for tap in taps)
    d = fraction[:, None, :]
    return v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 - v3 + v4)))
