"""A run's data, whole splits resident on the device as uint8."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

import datasets
from bench.errors import BenchError
from bench.machine.device import to_device
from bench.plan import Run
from bench.recipe import CropFlipCutout, Data, Recipe, Rescaling
from datasets.augment import Stl10Draws, crop_flip, cutout, draw_scales, draw_stl10, scale_affine
from datasets.mnist_scale import MNIST_SCALE_MEAN, MNIST_SCALE_STD
from datasets.stl10 import MEAN as STL10_MEAN
from datasets.stl10 import STD as STL10_STD


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, C, H, W) and labels int64 (N,), on the device."""

    images: Tensor
    labels: Tensor


def load_split(run: Run, split: str, device: torch.device) -> Split:
    """Load "train", "validation" or "test" as the run's recipe wants it. Raises DataError."""
    task = datasets.MNIST_SCALE[0] if run.task in datasets.MNIST_SCALE else run.task  # which all have the same images
    return _resident(task, run.realization, split, run.recipe.data, run.fingerprint, device)


@lru_cache(maxsize=3)  # a process that does several runs on the same data loads its three splits once
def _resident(task: str, realization: int, split: str, data: Data, fingerprint: str, device: torch.device) -> Split:
    del fingerprint  # what the data are known by
    images, labels = datasets.load(task, realization, split, test_size=data.test_size)
    count = getattr(data, f"{split}_images")
    images, labels = images[:count], labels[:count]
    images = images if data.central_pixels is None else central(images, data.central_pixels)
    return Split(images.to(device), labels.to(device))


def central(images: Tensor, pixels: int) -> Tensor:
    """The middle of images (N, C, H, H): a view (N, C, pixels, pixels). Raises BenchError: there are fewer pixels."""
    edge = (images.shape[-1] - pixels) // 2
    if not 0 < pixels <= min(images.shape[-2:]):
        raise BenchError(f"central_pixels {pixels}: the images have {images.shape[-1]} pixels; give 1 to {images.shape[-1]}")
    return images[..., edge : edge + pixels, edge : edge + pixels]


def wants_raw_pixels(network: nn.Module) -> bool:
    """Whether a network takes pixels in [0, 1] as they are: it has an attribute `raw_pixels = True`."""
    return getattr(network, "raw_pixels", False) is True


def normalise(images: Tensor, *, raw: bool = False) -> Tensor:
    """uint8 -> float32 with the published mean and standard deviation: of MNIST-scale (one channel) or STL-10 (three).

    `raw`: in [0, 1] and no more, as `wants_raw_pixels` says of the network that they are for.
    """
    scaled = images.float().div_(255)
    if raw:
        return scaled
    if images.shape[1] == 1:
        return scaled.sub_(MNIST_SCALE_MEAN).div_(MNIST_SCALE_STD)
    mean, std = _statistics(3, images.device)
    return scaled.sub_(mean).div_(std)


def mean_colour(channels: int, device: torch.device) -> Tensor:
    """What is 0 once it is normalised, as raw pixels: float32 (1, channels, 1, 1)."""
    return _statistics(channels, device)[0]


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _statistics(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    numbers = ((MNIST_SCALE_MEAN,), (MNIST_SCALE_STD,)) if channels == 1 else (STL10_MEAN, STL10_STD)
    mean, std = (torch.tensor(values, device=device).view(1, channels, 1, 1) for values in numbers)
    return mean, std


class Epoch:
    """The training images of one epoch in a random order, augmented where the task says so.

    All draws are made on the CPU, so that every device sees the same epoch. The images lie on the device; a batch costs no
    transfer. `raw`: as for `normalise`; what cutout hides has the mean colour either way, so that it is the same picture.
    """

    def __init__(self, split: Split, recipe: Recipe, generator: torch.Generator, *, raw: bool = False) -> None:
        images, count, device = split.images, len(split.labels), split.images.device
        augmentation, self.batch_size, self.raw = recipe.augmentation, recipe.batch_size, raw
        self.cutout: int | None = None
        self.draws: Stl10Draws | None = None
        if isinstance(augmentation, Rescaling):
            scales = draw_scales(count, *augmentation.scale, generator)
            images = scale_affine(images, to_device(scales, device), centre=augmentation.centre)
        elif isinstance(augmentation, CropFlipCutout):
            drawn = draw_stl10(count, generator, pad=augmentation.pad, extent=images.shape[-1])
            draws = drawn.each(lambda numbers: to_device(numbers, device))
            images = crop_flip(images, draws, pad=augmentation.pad)
            self.draws, self.cutout = draws, augmentation.cutout
        order = to_device(torch.randperm(count, generator=generator), device)
        self.images, self.labels = images[order], split.labels[order]
        self.draws = None if self.draws is None else self.draws.take(order)

    def __len__(self) -> int:
        """The number of batches; the last may be smaller."""
        return math.ceil(len(self.labels) / self.batch_size)

    def count(self, number: int) -> int:
        """The number of images in a batch."""
        return min(self.batch_size, len(self.labels) - number * self.batch_size)

    def batch(self, number: int) -> Split:
        """One batch, its images normalised: float32 (n, C, H, W)."""
        return self.take(slice(number * self.batch_size, (number + 1) * self.batch_size))

    def take(self, part: slice | Tensor) -> Split:
        """The images at these places of the order, an int64 tensor (n,) on the device, normalised: float32 (n, C, H, W)."""
        images = normalise(self.images[part], raw=self.raw)
        if self.draws is not None and self.cutout:
            colour = mean_colour(images.shape[1], images.device) if self.raw else None
            images = cutout(images, self.draws.take(part), side=self.cutout, colour=colour)
        return Split(images, self.labels[part])

    def copy_(self, other: Epoch) -> None:
        """Become another epoch of the same split, in the same memory."""
        self.images.copy_(other.images)
        self.labels.copy_(other.labels)
        if self.draws is not None and other.draws is not None:
            self.draws.copy_(other.draws)
