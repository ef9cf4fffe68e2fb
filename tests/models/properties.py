"""What all layers have in common: helpers for the property tests. Everything is float64."""

import torch
from torch import Tensor, nn

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_translates(layer: nn.Module, images: Tensor, shift: tuple[int, int] = (2, -3)) -> None:
    """Shifting an image with a wide margin of zeros shifts the output (maps are the last two axes)."""
    shifted = images.roll(shift, dims=(-2, -1))
    torch.testing.assert_close(layer(shifted), layer(images).roll(shift, dims=(-2, -1)), **EXACT)


def assert_homogeneous(layer: nn.Module, inputs: Tensor) -> None:
    """layer(c x) = c layer(x) for c > 0."""
    torch.testing.assert_close(layer(2.5 * inputs), 2.5 * layer(inputs), **EXACT)


def spot(*shape: int, margin: int, seed: int = 0) -> Tensor:
    """Noise with `margin` pixels of zeros around it."""
    inside = noise(*shape[:-2], shape[-2] - 2 * margin, shape[-1] - 2 * margin, seed=seed)
    return nn.functional.pad(inside, [margin] * 4)


def bumps(extent: int, std: float, scale: float = 1.0) -> Tensor:
    """Three Gaussian bumps near the centre of an odd grid, magnified by `scale` about the centre: (1, 1, extent, extent)."""
    t = torch.arange(extent, dtype=torch.float64) - (extent - 1) / 2
    image = torch.zeros(extent, extent, dtype=torch.float64)
    for row, column, height in ((-3.0, 2.0, 1.0), (4.0, 3.0, -0.7), (1.0, -5.0, 0.8)):
        rows, columns = ((-((t / scale - centre) ** 2) / (2 * std**2)).exp() for centre in (row, column))
        image += height * rows[:, None] * columns
    return image[None, None]
