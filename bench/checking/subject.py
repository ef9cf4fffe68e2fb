"""What is checked: a model on a task, a few images of it, and a way to build its network anew, always with the same weights."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

import datasets
import models
from bench.measure.equivariance_record import CPU
from bench.measure.probe_images import Pictures, load_pictures
from bench.measure.timed_step import timed_run
from bench.plan import Run
from bench.training.data import Split, normalise, wants_raw_pixels
from bench.training.state.randomness import seed_all
from bench.training.step import build_network

SEED = 0
IMAGES, PICTURES = {True: 8, False: 2}, {True: 4, False: 1}  # by whether the task is of MNIST-scale
GENERATED = "generated images, for the data are not here"


class Subject:
    """A model on a task. Whatever it does is done on the CPU."""

    def __init__(self, model: str, task: str) -> None:
        """Raises ModelError: there is no such model, or not for this task."""
        self.model, self.task, self.info = model, task, models.info(model, task)
        self.count = IMAGES[datasets.has_scales(task)]
        self.measured: dict[str, float] = {}  # what one check leaves to another

    @property
    def folder(self) -> Path | None:
        """Where the model is written."""
        file = self.info.plugin or getattr(sys.modules.get(self.info.module), "__file__", None)
        return Path(file).parent if file else None

    @cached_property
    def run(self) -> Run:
        """A run of the protocol `paper`, but for the size of its batches, all of them with as many images as there are here."""
        return timed_run(self.model, self.task, self.count, "float32")

    def build(self, model: str | None = None) -> nn.Module:
        """A new network of this model, or of another one on this task. Raises whatever the model may raise."""
        seed_all(SEED)
        return build_network(model or self.model, self.task, None, CPU)

    @cached_property
    def real(self) -> bool:
        """Whether the images are the task's own."""
        return datasets.at_hand(self.task)

    @cached_property
    def split(self) -> Split:
        """Training images, uint8 (count, C, H, W), and labels."""
        if self.real:
            images, labels = datasets.load(self.task, 0, "train")
            return Split(images[: self.count].clone(), labels[: self.count].clone())
        return Split(generated(self.task, self.count), torch.arange(self.count) % 10)

    def images(self, network: nn.Module) -> Tensor:
        """The same as the network takes them: float32 (count, C, H, W), always in new memory."""
        return normalise(self.split.images, raw=wants_raw_pixels(network))

    @cached_property
    def pictures(self) -> Pictures:
        """What equivariance is measured with."""
        count = PICTURES[datasets.has_scales(self.task)]
        if self.real:
            return load_pictures(self.task, 0, count)
        return Pictures(self.task, generated(self.task, count), GENERATED)


def generated(task: str, count: int) -> Tensor:
    """Strokes on black, uint8 (count, C, H, W): a few blurred dots in a row, of other places and colours in every image."""
    channels, side, _ = datasets.image_shape(task)
    generator = torch.Generator().manual_seed(0)
    axis = (torch.arange(side) - (side - 1) / 2) / side  # -1/2 to 1/2
    ends = torch.rand(count, 3, 2, 2, generator=generator) * 0.6 - 0.3  # three strokes from one place to another
    along = torch.linspace(0, 1, 12)[:, None]
    dots = ends[:, :, None, 0] * (1 - along) + ends[:, :, None, 1] * along  # (count, 3, 12, 2)
    rows, columns = (((axis - dots[..., k, None]) ** 2) / (2 * 0.04**2) for k in (0, 1))
    strokes = torch.exp(-(rows[..., :, None] + columns[..., None, :])).amax(dim=2)  # (count, 3, side, side)
    images = strokes.amax(dim=1, keepdim=True) if channels == 1 else strokes
    return (255 * images).round().to(torch.uint8)
