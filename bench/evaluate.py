"""Answers without gradients, in batches as large as the device takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.device import autocast, is_out_of_memory
from bench.protocol import Recipe
from bench.splits import normalise

# Of a batch: on the CPU 250 MNIST images or 21 of STL-10, on CUDA, where a small batch leaves most of the card idle and filters
# are made for every batch, 2,000 (all of the validation split) or 170.
PIXELS = {"cpu": 250 * 28 * 28, "cuda": 2000 * 28 * 28}


class Evaluation:
    """What a run evaluates with. `batch` images at a time: fewer after they have not fitted into memory."""

    def __init__(self, recipe: Recipe, image_pixels: int, device: torch.device, say: Callable[[str], None] = print) -> None:
        self.precision, self.say = recipe.precision, say
        self.batch = recipe.evaluation_batch or max(1, PIXELS.get(device.type, PIXELS["cpu"]) // image_pixels)

    def answers(self, network: nn.Module, images: Tensor) -> Tensor:
        """The class that the network gives to each uint8 image: (N, C, H, W) -> int64 (N,), on their device.

        Raises torch.OutOfMemoryError: not even one image fits.
        """
        while True:
            try:
                return predict(network, images, self.precision, self.batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch == 1:
                    raise
            self.batch = math.ceil(min(self.batch, len(images)) / 2)
            self.say(f"evaluation does not fit into memory; it goes on with {self.batch} images at a time")
            if images.device.type == "cuda":
                torch.cuda.empty_cache()


def predict(network: nn.Module, images: Tensor, precision: str = "float32", batch: int | None = None) -> Tensor:
    """The class that the network gives to each uint8 image: (N, C, H, W) -> int64 (N,). `batch`: images at a time."""
    network.eval()
    batches = images.split(batch or max(1, PIXELS["cpu"] // images[0, 0].numel()))
    with torch.no_grad(), autocast(precision, images.device):
        return torch.cat([network(normalise(images)).argmax(dim=1) for images in batches])
