"""A run's network as it is built, and used once where only that shows what it is made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

import datasets
import models

FEW = 2  # images: normalisation over a batch needs more than one


def blank_images(task: str, central_pixels: int | None, count: int, device: torch.device) -> Tensor:
    """Images of a task without anything in them: float32 (count, C, H, W)."""
    channels, height, width = datasets.image_shape(task)
    height, width = (central_pixels or extent for extent in (height, width))
    return torch.zeros(count, channels, height, width, device=device)


def built(model: str, task: str, central_pixels: int | None, device: torch.device, **overrides: Any) -> nn.Module:
    """A network on a device, its lazy parameters made. Raises ModelError, and whatever a model may raise."""
    network = models.create(model, task, **overrides)
    network.to(device)
    if any(is_lazy(parameter) for parameter in network.parameters()):  # an optimizer takes none that is not made
        network.eval()
        with torch.no_grad():
            network(blank_images(task, central_pixels, FEW, device))
        network.train()
    return network


def try_out(network: nn.Module, images: Tensor) -> None:
    """Use a network in training and in evaluation mode, as a run does, for what it makes only then."""
    with torch.no_grad():
        network.train()
        network(images.clone())  # it may work in place
        network.eval()
        network(images.clone())
