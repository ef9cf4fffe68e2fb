"""What a network must give: checked where its outputs are used, and before a run's first step (`rehearsal.py`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models import ModelError

CLASSES = 10  # of every task


def logits(outputs: Any, images: Tensor) -> Tensor:
    """A network's outputs for images (N, C, H, W), if they are logits: a floating-point tensor (N, 10) on their device.

    Nothing is asked of the device: whether they are finite numbers is for others to say (`train.py`, `evaluate.py`).
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
