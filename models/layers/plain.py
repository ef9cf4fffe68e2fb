"""The ordinary layers: convolution, max pooling and batch normalisation, torch's but in any layout (layout.py).

Shape letters: N batch, C channels in, O channels out, K filter size, H, W map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.layers.conv.fourier_bank import FilterBank, taps_of
from models.layers.conv.same import same_conv2d
from models.layers.layout import from_hwnc, is_hwnc, to_hwnc, with_pixels_as_images


def unpooled(maps: Tensor) -> Tensor:
    """Maps as they are, for layers that may pool."""
    return maps


class PoolingLayer(nn.Module):
    """A layer that may be asked to pool: `layer(maps, pool)` is `pool(layer(maps))`, (N, C, H, W) -> (N, O, H', W').

    Maxima over scales, biases and rectifiers commute exactly with max pooling, and after it they work on a fraction of the
    elements. So the layer pools its responses before it does anything else with them. A result with a scale axis is pooled at
    every scale. A layer that `averages` may also be handed a RectifiedAvgPool2d, which has to come after the bias.
    """

    Pool = Callable[[Tensor], Tensor]
    averages = False


class Pooled(nn.Module):
    """A layer that pools, and what it is to pool with: (N, C, H, W) -> (N, O, H', W'), or with a scale axis."""

    def __init__(self, layer: PoolingLayer, pool: MaxPool2d) -> None:
        super().__init__()
        self.layer, self.pool = layer, pool

    def forward(self, maps: Tensor) -> Tensor:
        """Every scale is pooled by itself."""
        pooled: Tensor = self.layer(maps, self.pool)
        return pooled


class SameConv2d(nn.Conv2d, PoolingLayer):
    """torch's Conv2d of K x K filters, K odd, and zero padding (K-1)/2, done the cheapest way.

    The plain networks are made of it, so that what their times are compared with differs in method and not in library.
    """

    def __init__(self, channels_in: int, channels_out: int, size: int, stride: int = 1, *, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, size, stride, padding=size // 2, bias=bias)
        self.bank = FilterBank([taps_of(size)])

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """(N, C, H, W) -> (N, O, ceil(H/stride), ceil(W/stride)), pooled."""
        alone = maps[:, :, None]
        if self.bank.pays(alone, self.out_channels, self.stride[0]):
            responses = pool(self.bank.convolve(alone, self.weight.flatten(2)).squeeze(2))
        else:
            responses = pool(same_conv2d(maps, self.weight, self.stride[0]))
        return responses if self.bias is None else responses + self.bias[:, None, None]


class _Pool2d(nn.Module):
    """Pooling of torch's in any layout: (N, C, H, W) -> (N, C, H', W') in the same."""

    def forward(self, maps: Tensor) -> Tensor:
        """In HWNC layout every image's every channel is a channel of one image, channels last, which torch pools fastest."""
        if not is_hwnc(maps):
            pooled: Tensor = super().forward(maps)
            if maps.device.type != "cpu" or not maps.is_contiguous(memory_format=torch.channels_last):
                return pooled
            return from_hwnc(to_hwnc(pooled))  # of an image's responses (cpu/onednn.py); gradients then lie like maps
        pooled = super().forward(to_hwnc(maps).flatten(2)[None].permute(0, 3, 1, 2))
        return from_hwnc(pooled.permute(0, 2, 3, 1).squeeze(0).unflatten(2, maps.shape[:2]))


class MaxPool2d(_Pool2d, nn.MaxPool2d):
    """Maxima over windows."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride != self.kernel_size and maps.device.type != "cpu":
            maps = maps.contiguous()  # where windows overlap, only so does CUDA add their gradients in a fixed order
        return super().forward(maps)


class AvgPool2d(_Pool2d, nn.AvgPool2d):
    """Means over windows."""


class RectifiedAvgPool2d(AvgPool2d):
    """Means over windows of what is positive; it overwrites the maps."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.relu_())


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch normalisation: (N, C, H, W) -> the same, in the same layout."""

    def forward(self, maps: Tensor) -> Tensor:
        if not is_hwnc(maps):
            return super().forward(maps)
        return with_pixels_as_images(super().forward, maps)
