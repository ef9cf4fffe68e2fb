"""The '+' augmentation: rescaling a whole batch as Pillow rescales one image.

Pillow's `Image.transform(size, AFFINE, (a, 0, c, 0, a, c), BICUBIC)` with a = 1/s samples every output pixel centre at
a*x + c with a cubic kernel (coefficient -1) on 4 x 4 taps. A scaling is separable, so two small matrices per image do it:
one product over columns, one over rows, in double precision as Pillow computes.

Shape letters: N batch, H side of the (square) image.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Pillow clips to 0..255 and truncates. Its sums and ours differ by some 1e-13; this keeps a value that is a whole number in
# exact arithmetic (255 * 1.0, mostly) from falling below it. Values truly this close below a whole number do not occur.
ROUNDING = 1e-9
CHUNK = 2000


def draw_scales(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`count` factors, uniform in the factor itself (not its logarithm): float64 (count,) on the CPU."""
    return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=generator)


def scale_affine(images: Tensor, scales: Tensor, *, centre: float = 14.5) -> Tensor:
    """Rescale each image about a fixed point: uint8 (N, 1, H, H), float64 (N,) -> uint8 (N, 1, H, H); outside is 0.

    `centre` in pixels: 14.5 is the published code's (a half pixel beside the middle of 28 pixels), 14.0 the middle.
    """
    results = [_scale(*chunk, centre) for chunk in zip(images.split(CHUNK), scales.split(CHUNK), strict=True)]
    return torch.cat(results) if results else images.clone()


def _scale(images: Tensor, scales: Tensor, centre: float) -> Tensor:
    weights = _sampling_matrices(scales.double(), images.shape[-1], centre)
    values = weights @ (images[:, 0].double() @ weights.mT)
    return (values + ROUNDING).clamp_(0, 255).to(torch.uint8)[:, None]


def _sampling_matrices(scales: Tensor, size: int, centre: float) -> Tensor:
    """The (N, H, H) matrices that take an axis of input pixels to output pixels."""
    a = 1.0 / scales
    # In this order and in double precision, as the published transform computes it: ((a * -centre) + (0 * -centre)) + centre.
    c = (a * -centre + 0.0) + centre
    pixels = torch.arange(size, dtype=torch.float64, device=scales.device)
    position = a[:, None] * (pixels + 0.5) + c[:, None]
    inside = (position >= 0) & (position < size)
    left = torch.floor(position - 0.5)
    d = position - 0.5 - left
    taps = torch.stack([-d + 2 * d**2 - d**3, 1 - 2 * d**2 + d**3, d + d**2 - d**3, -(d**2) + d**3], dim=-1)
    taps = taps * inside[..., None]
    columns = (left[..., None] + torch.arange(-1, 3, device=scales.device)).clamp(0, size - 1).long()
    matrices = torch.zeros(len(scales), size, size, dtype=torch.float64, device=scales.device)
    return matrices.scatter_add_(2, columns, taps)
