"""What a network must give, logits; and its answers without gradients, in batches as large as the device takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import Stopped
from bench.machine.device import autocast, is_out_of_memory
from bench.plan import Run
from bench.training.data import normalise, wants_raw_pixels
from models import ModelError

CLASSES = 10  # of every task
PIXELS_ON_CPU = 250 * 28 * 28  # of a batch: 250 MNIST images, 21 of STL-10
# On CUDA, where a small batch leaves most of the card idle and filters are made for every batch: all of a validation split, or
# half. Counted, the largest takes 6 GB (16 of STL-10), so that six runs of MNIST-scale side by side fit into 80 GB.
ON_CUDA = {"mnist-scale-28*": 2_000, "mnist-scale-56*": 1_000, "stl10+": 170}
NO_ANSWER = -1  # where one of an image's logits is no finite number


class Evaluation:
    """What a run evaluates with. `batch` images at a time: fewer after they have not fitted into memory."""

    def __init__(self, run: Run, image_pixels: int, device: torch.device, say: Callable[[str], None] = print) -> None:
        self.precision, self.say = run.recipe.precision, say
        usual = max(1, PIXELS_ON_CPU // image_pixels)
        if device.type == "cuda":
            usual = next(batch for tasks, batch in ON_CUDA.items() if fnmatchcase(run.task, tasks))
        self.batch = run.recipe.evaluation_batch or usual

    def answers(self, network: nn.Module, images: Tensor, should_stop: Callable[[], bool] = lambda: False) -> Tensor:
        """The class that the network gives to each uint8 image, as `predict`: (N, C, H, W) -> int64 (N,), on their device.

        Raises Stopped; ModelError: its outputs are no logits; torch.OutOfMemoryError: not even one image fits.
        """
        while True:
            try:
                return predict(network, images, self.precision, self.batch, should_stop)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch == 1:
                    raise
            self.batch = math.ceil(min(self.batch, len(images)) / 2)
            self.say(f"evaluation does not fit into memory; it goes on with {self.batch} images at a time")
            if images.device.type == "cuda":
                torch.cuda.empty_cache()


def predict(
    network: nn.Module,
    images: Tensor,
    precision: str = "float32",
    batch: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """The class that the network gives to each uint8 image, or NO_ANSWER: (N, C, H, W) -> int64 (N,).

    `batch`: images at a time; whether to stop is asked before each. Raises Stopped; ModelError: its outputs are no logits.
    """
    network.eval()
    found, raw = [], wants_raw_pixels(network)
    with torch.no_grad(), autocast(precision, images.device):
        for part in images.split(batch or max(1, PIXELS_ON_CPU // images[0, 0].numel())):
            if should_stop():
                raise Stopped
            found.append(_answers(network, normalise(part, raw=raw)))
    return torch.cat(found)


def _answers(network: nn.Module, images: Tensor) -> Tensor:
    found = logits(network(images), images)
    return torch.where(found.isfinite().all(dim=1), found.argmax(dim=1), NO_ANSWER)


def logits(outputs: Any, images: Tensor) -> Tensor:
    """A network's outputs for images (N, C, H, W), if they are logits: a floating-point tensor (N, 10) on their device.

    Nothing is asked of the device: whether they are finite numbers is for others to say (`train.py`, `predict`).
    Raises ModelError.
    """
    wanted = (len(images), CLASSES)
    if (
        isinstance(outputs, Tensor)
        and outputs.shape == wanted
        and outputs.is_floating_point()
        and outputs.device == images.device
        and outputs.layout == torch.strided
    ):
        return outputs
    raise ModelError(
        f"the network gives {_said(outputs)} for {wanted[0]} images; wanted: logits, one floating-point tensor of shape "
        f"{wanted}, a row for each image and a number for each class, on {images.device}"
    )


def _said(outputs: Any) -> str:
    if isinstance(outputs, Tensor):
        kind = "" if outputs.layout == torch.strided else f"{outputs.layout} ".removeprefix("torch.")
        return (
            f"a {kind}tensor of shape {tuple(outputs.shape)}, {str(outputs.dtype).removeprefix('torch.')}, on {outputs.device}"
        )
    if isinstance(outputs, tuple | list):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    return "None" if outputs is None else f"a {type(outputs).__name__}"
