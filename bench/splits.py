"""A run's data, whole splits resident on the device as uint8."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import datasets
from bench.plan import Run
from bench.protocol import Augmentation
from datasets.augment import draw_scales, scale_affine
from datasets.mnist_scale import MNIST_SCALE_MEAN, MNIST_SCALE_STD


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 1, 28, 28) and labels int64 (N,), on the device."""

    images: Tensor
    labels: Tensor


def load_split(run: Run, split: str, device: torch.device) -> Split:
    """Load "train", "validation" or "test" as the run's recipe wants it. Raises DataError."""
    data = run.recipe.data
    images, labels = datasets.load(run.task, run.realization, split, test_size=data.test_size)
    count = getattr(data, f"{split}_images")
    return Split(images[:count].to(device), labels[:count].to(device))


def normalise(images: Tensor) -> Tensor:
    """uint8 -> float32 with the published mean and standard deviation of MNIST-scale."""
    return images.float().div_(255).sub_(MNIST_SCALE_MEAN).div_(MNIST_SCALE_STD)


def epoch_images(split: Split, augmentation: Augmentation | None, generator: torch.Generator) -> Split:
    """The training images of one epoch, augmented where the task says so, in a random order.

    All draws are made on the CPU, so that every device sees the same epoch.
    """
    images, count = split.images, len(split.labels)
    if augmentation is not None:
        scales = draw_scales(count, *augmentation.scale, generator)
        images = scale_affine(images, scales.to(images.device), centre=augmentation.centre)
    order = torch.randperm(count, generator=generator).to(images.device)
    return Split(images[order], split.labels[order])
