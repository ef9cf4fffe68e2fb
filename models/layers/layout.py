"""Maps whose pixels lie outermost in memory: (H, W, N, C), seen from outside as (N, C, H, W).

What treats every image and channel alike (transforms along an axis, pooling, maxima over scales) then works on long contiguous
rows. To torch such maps are no known memory format, so some of its operations would copy them; those here do not, and are
torch's own in any other layout.

Shape letters: N batch, C channels, H, W map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# On the CPU all convolutions of so many channels lay their results out like this, whichever way they are done.
WIDE = 128


def to_hwnc(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (H, W, N, C), copied only where N and C do not lie together in memory already."""
    if lies_together(maps):
        return maps.permute(2, 3, 0, 1)
    copied: Tensor = _ToHWNC.apply(maps)
    return copied


def lies_together(maps: Tensor) -> bool:
    """Whether a pixel's values, all images' all channels, lie together in memory, wherever the pixels lie."""
    n, c = maps.stride()[:2]
    return c == 1 and (n == maps.shape[1] or len(maps) == 1)


class _ToHWNC(torch.autograd.Function):
    """The copy; gradients go back in the layout that the maps had, which is the one that torch's operations on these want."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
        return maps.permute(2, 3, 0, 1).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        layout = torch.channels_last if ctx.last else torch.contiguous_format
        return gradients[0].permute(2, 3, 0, 1).contiguous(memory_format=layout)


def from_hwnc(pixels: Tensor) -> Tensor:
    """The view (N, C, H, W) of (H, W, N, C)."""
    return pixels.permute(2, 3, 0, 1)


def is_hwnc(maps: Tensor) -> bool:
    """Whether maps are (N, C, H, W) that lie in memory as (H, W, N, C)."""
    return maps.ndim == 4 and not maps.is_contiguous() and maps.permute(2, 3, 0, 1).is_contiguous()


def concatenate(maps: Sequence[Tensor], dim: int) -> Tensor:
    """As `torch.cat(maps, dim)` along images or channels, in the layout of the maps."""
    if all(lies_together(one) for one in maps):
        return from_hwnc(torch.cat([to_hwnc(one) for one in maps], dim=dim + 2))
    return torch.cat(list(maps), dim=dim)


def unpooled(maps: Tensor) -> Tensor:
    """Maps as they are, for layers that may pool."""
    return maps


class PoolingLayer(nn.Module):
    """A layer that may be asked to pool: `layer(maps, pool)` is `pool(layer(maps))`, (N, C, H, W) -> (N, O, H', W').

    Maxima over scales, biases and rectifiers commute exactly with max pooling, and after it they work on a fraction of the
    elements. So the layer pools its responses before it does anything else with them. A result with a scale axis is pooled at
    every scale.
    """

    Pool = Callable[[Tensor], Tensor]


class MaxPool2d(nn.MaxPool2d):
    """torch's max pooling: (N, C, H, W) -> (N, C, H', W') in the same layout."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool. Every image's every channel is a channel of one image whose channels come last, which torch pools fastest."""
        if not is_hwnc(maps):
            pooled: Tensor = super().forward(maps)
            if maps.device.type != "cpu" or not maps.is_contiguous(memory_format=torch.channels_last):
                return pooled
            return from_hwnc(to_hwnc(pooled))  # of an image's responses (convolution.py); gradients then lie like maps
        pooled = super().forward(to_hwnc(maps).flatten(2)[None].permute(0, 3, 1, 2))
        return from_hwnc(pooled.permute(0, 2, 3, 1).squeeze(0).unflatten(2, maps.shape[:2]))


def with_pixels_as_images(operation: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """`operation(maps)`, if it does not ask which pixel is whose, for maps with HWNC layout: (N, C, H, W) to the same."""
    pixels = to_hwnc(maps)
    return from_hwnc(operation(pixels.flatten(0, 2)[..., None, None]).view(pixels.shape))


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch normalisation: (N, C, H, W) -> the same, in the same layout."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each channel."""
        if not is_hwnc(maps):
            return super().forward(maps)
        return with_pixels_as_images(super().forward, maps)
