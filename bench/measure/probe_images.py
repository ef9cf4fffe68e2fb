"""The same images at several sizes, on a canvas: what equivariance is measured with.

An image is an *empty* one (black for digits, the mean colour for photographs) plus a *content* that is zero outside the image.
Scaling and shifting move the content alone, so nothing has to be invented outside the frame.

Shape letters: N images, C channels, H side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import datasets
from bench.training.data import mean_colour, normalise, wants_raw_pixels
from datasets.augment import scale_affine

REFERENCE_SCALE = 0.625  # of f; with the factors below, digits of 0.31 to 1.0 times MNIST's size: what the networks train on
PROBED_FACTORS = (0.5, 2 / 3, 0.8, 1.2, 4 / 3, 1.6)  # each makes a whole, even number of STL-10 pixels
MNIST_RESAMPLING = (
    "images: the data set's affine (cubic convolution, a = -1, no low-pass) of the original digit about (14, 14); "
    "maps: cubic convolution, a = -0.5, no low-pass"
)
STL10_RESAMPLING = (
    "images: cubic convolution, a = -0.5, with low-pass, of the original photograph; "
    "maps: cubic convolution, a = -0.5, no low-pass"
)


@dataclass(frozen=True)
class Pictures:
    """Some images of a task: originals uint8 (N, C, H, H), and what a measurement says of them. `raw`: as for `normalise`."""

    task: str
    originals: Tensor
    description: str
    raw: bool = False

    @property
    def side(self) -> int:
        """H, in pixels."""
        return self.originals.shape[-1]

    @property
    def resampling(self) -> str:
        """How images and maps are scaled, in words."""
        return MNIST_RESAMPLING if datasets.has_scales(self.task) else STL10_RESAMPLING

    def seen_by(self, network: nn.Module) -> Pictures:
        """The same, as the network's input."""
        return replace(self, raw=wants_raw_pixels(network))

    def part(self, chosen: slice) -> Pictures:
        return replace(self, originals=self.originals[chosen])

    def empty(self, side: int) -> Tensor:
        """The empty image as the network's input: (1, C, side, side)."""
        channels = self.originals.shape[1]
        if datasets.has_scales(self.task):
            return normalise(torch.zeros(1, channels, side, side, dtype=torch.uint8), raw=self.raw)
        colour = mean_colour(channels, self.originals.device) if self.raw else torch.zeros(1, channels, 1, 1)
        return colour.repeat(1, 1, side, side)

    def content(self, factor: float, side: int) -> Tensor:
        """Each image at `factor` times its size in the middle of a canvas, less the empty image: (N, C, side, side)."""
        if datasets.has_scales(self.task):
            factors = torch.full((len(self.originals),), factor, dtype=torch.float64)
            scaled = scale_affine(self.originals, factors, centre=self.side / 2)
            images = normalise(scaled, raw=self.raw) - self.empty(self.side)
        else:
            extent = round(self.side * factor)
            whole = normalise(self.originals, raw=self.raw) - self.empty(self.side)
            images = F.interpolate(whole, size=(extent, extent), mode="bicubic", antialias=True)
        edge = (side - images.shape[-1]) // 2
        return F.pad(images, (edge, edge, edge, edge))


def load_pictures(task: str, realization: int, count: int, test_size: int | None = None) -> Pictures:
    """The first `count` images of a test split, as they were before any rescaling. Raises DataError."""
    if datasets.has_scales(task):
        images, _ = datasets.load_originals(task, realization, "test", test_size=test_size)
        words = f"the original MNIST digits of the first {count} images of the test split of realization {realization}"
    else:
        images, _ = datasets.load(task, realization, "test")
        words = f"the first {count} images of the test split"
    return Pictures(task, images[:count], words)
