"""The ordinary convolution layer."""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.conv.bank import FilterBank, taps_of
from models.layers.conv.same import same_conv2d
from models.layers.launches import few_launches
from models.layers.layout import PoolingLayer, unpooled


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
        if few_launches(maps) and self.bank.pays(alone, self.out_channels, self.stride[0]):
            responses = pool(self.bank.convolve(alone, self.weight.flatten(2)).squeeze(2))
        else:
            responses = pool(same_conv2d(maps, self.weight, self.stride[0]))
        return responses if self.bias is None else responses + self.bias[:, None, None]
