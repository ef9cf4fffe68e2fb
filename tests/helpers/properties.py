"""What all layers have in common: helpers for the property tests. Everything is float64."""

import copy

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


# Float32 and float64 now and then decide a maximum or a rectifier otherwise, which moves a gradient elsewhere: on the
# CPU that made differences of up to 1.1e-2 of a gradient's norm. Where nothing is decided otherwise they are far below 1e-3. A
# wrong gradient differs by its own size. On doubled images, whose pixels repeat, some maximum is decided otherwise in nearly
# every batch.
DECIDED_OTHERWISE, ROUNDED = 5e-2, 1e-3
BATCHES = 3


def assert_gradients_agree(network: nn.Module, image_shape: tuple[int, ...], device: str, best: float = ROUNDED) -> None:
    """A training step's gradients in float32 on the device are those in float64 on the CPU, parameter by parameter.

    Norms of differences; in the `best` of three batches as close as rounding allows. Without dropout, which draws elsewhere.
    """
    errors = []
    for seed in range(BATCHES):
        images = torch.randn(4, *image_shape, generator=torch.Generator().manual_seed(seed))
        exact = _gradients(network, images.double(), "cpu")
        found = _gradients(network, images, device)
        assert exact.keys() == found.keys()
        # Some are zero but for rounding: those of biases in front of a normalisation.
        negligible = 1e-3 * max(gradient.norm() for gradient in exact.values())
        errors.append({key: ((found[key] - g).norm() / (g.norm() + negligible)).item() for key, g in exact.items()})
    assert all(max(batch.values()) < DECIDED_OTHERWISE for batch in errors), errors
    assert min(max(batch.values()) for batch in errors) < best, errors


def _gradients(network: nn.Module, images: Tensor, device: str) -> dict[str, Tensor]:
    network = copy.deepcopy(network).to(device, images.dtype).train()
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    labels = torch.arange(len(images), device=device)
    nn.functional.cross_entropy(network(images.to(device)), labels).backward()
    return {key: p.grad.cpu().double() for key, p in network.named_parameters() if p.grad is not None}
