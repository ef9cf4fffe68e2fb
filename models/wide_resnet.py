"""WRN-16-8, the STL-10 skeleton that all methods share.

Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016, arXiv 1605.07146. Pre-activation blocks of two 3 x 3 convolutions in
three groups; the first block of a group changes the number of channels, and from the second group on halves the map.

A method brings a `Parts`: its convolutions, its normalisation and its way from the last block to a vector. Everything else, the
order of the operations above all, is here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError
from models.layers.cpu.dropout import Dropout  # on a GPU torch's own
from models.layers.cpu.norm_relu import rectified  # on a GPU dropout(relu(norm(maps)))
from models.layers.microbatch import dropout_mask, normalised_in_parts
from models.layers.plain import BatchNorm2d, SameConv2d

CLASSES = 10
DROPOUT = 0.3
Layer = TypeVar("Layer", bound=nn.Module)


class Size(TypedDict, total=False):
    """What every stl10+ builder passes on to `wide_resnet`."""

    depth: int
    widen_factor: int
    classes: int
    dropout: float


class Place(NamedTuple):
    """Where in the network a convolution stands: group 1 to 3, block 0, 1, ... of it, first or second convolution of that."""

    group: int
    block: int
    which: int


class Parts:
    """What a method puts into the skeleton; these are the plain network's, (N, C, H, W) throughout."""

    def widths(self, widen_factor: int) -> tuple[int, int, int, int]:
        """Channels of the stem and of the three groups."""
        return 16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor

    def stem(self, channels_out: int) -> nn.Module:
        """The first convolution, of the (N, 3, 96, 96) image."""
        return he_normal(SameConv2d(3, channels_out, 3, bias=False))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """A 3 x 3 convolution inside a block."""
        del place
        return he_normal(SameConv2d(channels_in, channels_out, 3, stride, bias=False))

    def shortcut(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """The 1 x 1 convolution beside the first block of a group (`place`: that of the block's second convolution)."""
        del place
        return he_normal(SameConv2d(channels_in, channels_out, 1, stride, bias=False))

    def norm(self, channels: int) -> nn.Module:
        """The normalisation inside the blocks."""
        return BatchNorm2d(channels)

    def block(self, place: Place, channels_in: int, channels_out: int, stride: int, dropout: float) -> nn.Module:
        """The block whose first convolution is at `place`."""
        return Block(self, place, channels_in, channels_out, stride, dropout)

    def tail(self, channels: int) -> Sequence[nn.Module]:
        """From the last block's map to (N, channels)."""
        return [self.norm(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class Block(nn.Module):
    """Two convolutions beside an identity, or beside a 1 x 1 convolution where the number of channels changes."""

    def __init__(self, parts: Parts, place: Place, channels_in: int, channels_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        first, second = place, place._replace(which=2)
        self.norm1 = parts.norm(channels_in)
        self.convolution1 = parts.convolution(first, channels_in, channels_out, stride)
        self.norm2 = parts.norm(channels_out)
        self.dropout = Dropout(dropout)
        self.convolution2 = parts.convolution(second, channels_out, channels_out, 1)
        changes = channels_in != channels_out
        self.shortcut = parts.shortcut(second, channels_in, channels_out, stride) if changes else None
        self.batch_split = 1

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W), or whatever layout the convolutions have, to the same with the channels and size of the block."""
        if self.training and self.batch_split > 1:
            return self._in_parts(maps)
        active = rectified(self.norm1, maps)
        beside = maps if self.shortcut is None else self.shortcut(active)
        result = rectified(self.norm2, self.convolution1(active), self.dropout)
        return torch.add(beside, self.convolution2(result))

    def _in_parts(self, maps: Tensor) -> Tensor:
        """The same, a part of the batch at a time (layers/microbatch.py)."""
        keep = 1 - self.dropout.p

        def first(normal: Tensor) -> tuple[Tensor, ...]:
            active = F.relu(normal)
            result = self.convolution1(active)
            return (result,) if self.shortcut is None else (result, self.shortcut(active))

        def second(normal: Tensor, kept: Tensor, beside: Tensor) -> tuple[Tensor, ...]:
            return (torch.add(beside, self.convolution2(F.relu(normal) * kept / keep)),)

        result, *shortcut = normalised_in_parts(self.norm1, maps, self.batch_split, first)
        others = (dropout_mask(result, self.dropout), *(shortcut or [maps]))
        return normalised_in_parts(self.norm2, result, self.batch_split, second, *others)[0]


def wide_resnet(
    parts: Parts, depth: int = 16, widen_factor: int = 8, classes: int = CLASSES, dropout: float = DROPOUT
) -> nn.Sequential:
    """Put a network together: (N, 3, 96, 96) -> (N, classes). Raises ValueError: a depth that is not 6 n + 4."""
    if depth < 10 or (depth - 4) % 6 != 0:
        raise ValueError(f"depth {depth} is not 6 n + 4; allowed: 10, 16, 22, 28, ...")
    channels_in, *widths = parts.widths(widen_factor)
    layers = [parts.stem(channels_in)]
    for group, channels_out in enumerate(widths, start=1):
        for block in range((depth - 4) // 6):
            stride = 2 if group > 1 and block == 0 else 1
            layers.append(parts.block(Place(group, block, 1), channels_in, channels_out, stride, dropout))
            channels_in = channels_out
    head = nn.Linear(channels_in, classes)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, *parts.tail(channels_in), head)


def split_batches(network: nn.Module, parts: int) -> None:
    """Make every training step of a wide residual network send its batch through the blocks in `parts` parts.

    The update stays that of the whole batch (layers/microbatch.py). Raises ModelError: the network has no such blocks.
    """
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    if not blocks:
        raise ModelError("its batches cannot be split: it is not made of the blocks in models/wide_resnet.py")
    for block in blocks:
        block.batch_split = parts


def he_normal(layer: Layer) -> Layer:
    """Draw `weight` (O, C, ...) from a normal distribution of std sqrt(2 / n), n its number of entries per input channel."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    nn.init.normal_(weight, std=math.sqrt(2 * weight.shape[1] / weight.numel()))
    return layer
