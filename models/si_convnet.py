"""SI-ConvNet: locally scale-invariant convolutional neural networks.

Kanazawa, Sharma, Jacobs, "Locally Scale-Invariant Convolutional Neural Networks", NIPS 2014 Deep Learning and Representation
Learning Workshop, arXiv 1412.5104.

Each layer rescales its input to several sizes, convolves all of them with the same filters, undoes the rescaling and keeps the
largest response at each pixel. It is the plain network with another convolution.

Shape letters: N batch, C channels in, O channels out, k filter size, H, W map. D_z denotes the rescaling by z: bilinear,
corners aligned, to floor(H z) pixels, then centred zero padding or cropping back to H.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.conv.resampled import laid_out, resampled_conv2d
from models.layers.conv.resampled_axis import ResampledAxis, levels_pay
from models.layers.conv.resampled_levels import Level, convolve_levels
from models.layers.conv.same import same_conv2d
from models.layers.launches import few_launches
from models.layers.layout import from_hwnc, is_hwnc, to_hwnc
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.resampling import bilinear, centred
from models.layers.scale_axis import largest_response
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stages
from models.registry import register
from models.wide_resnet import Parts, Place, Size, he_normal, wide_resnet

# ------------------------------------------------------------------------------------------------------------ rescaling


def rescaling(extent: int, scale: float) -> Tensor:
    """One axis of D_z: float64 (extent, extent)."""
    return centred(bilinear(extent, math.floor(extent * scale), align_corners=True), extent)


@lru_cache(maxsize=1024)
def inside(extent: int, scale: float) -> slice:
    """The pixels of one axis that D_z fills; around them it leaves zeros (z < 1 only)."""
    filled = rescaling(extent, scale).abs().sum(dim=1).nonzero()
    return slice(int(filled.min()), int(filled.max()) + 1)


@lru_cache(maxsize=1024)
def rescaled_axis(extent: int, scale: float, taps: int, stride: int) -> ResampledAxis:
    """One axis of D_{1/z} conv(D_z x), without the zeros around the result that z > 1 leaves."""
    strided = math.ceil(extent / stride)
    back = rescaling(strided, 1 / scale)[inside(strided, 1 / scale)]
    return ResampledAxis(rescaling(extent, scale), back, taps, stride)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def border_floor(height: int, width: int, scales: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """What a response cannot be less than (H, W): 0 where some D_{1/z} leaves zeros, elsewhere minus infinity."""
    first_row, first_column = (max(inside(extent, 1 / scale).start for scale in scales) for extent in (height, width))
    last_row, last_column = (min(inside(extent, 1 / scale).stop for scale in scales) for extent in (height, width))
    floor = torch.zeros(height, width)
    floor[first_row:last_row, first_column:last_column] = -math.inf
    return floor.to(device=device, dtype=dtype)


# ---------------------------------------------------------------------------------------------------------------- layer


class ScaleInvariantConv(PoolingLayer):
    """The locally scale-invariant convolution: (N, C, H, W) -> (N, O, H', W').

    y = max over z of D_{1/z}(conv(D_z(x)) + b), zero padding (k-1)/2. Where D_{1/z} leaves zeros (z > 1, near the border),
    these take part in the maximum, without the bias, as published. Weight (O, C, k, k), bias (O) or none.
    """

    def __init__(
        self, channels_in: int, channels_out: int, size: int, scales: Sequence[float], *, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        self.scales, self.stride = tuple(scales), stride
        plain = nn.Conv2d(channels_in, channels_out, size, bias=bias)  # torch's initialisation
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        largest, _ = largest_response(self._responses(maps), pool)
        if self.bias is not None:
            # Inside, D_{1/z} keeps constants, so the bias may come after it and after the maximum.
            largest = largest + self.bias[:, None, None]
        if max(self.scales) > 1:
            height, width = (math.ceil(extent / self.stride) for extent in maps.shape[2:])
            floor = border_floor(height, width, self.scales, largest.dtype, largest.device)
            largest = largest.clamp(min=pool(floor[None, None]))
        return largest

    def _responses(self, maps: Tensor) -> Tensor | list[Tensor]:
        """Of every scale: (N, O, S, H', W') or each one's (N, O, H', W')."""
        axes = [self._axes(maps, scale) for scale in self.scales]
        if few_launches(maps) and levels_pay(maps, len(self.weight), axes):
            levels = [Level(*both, self._place(maps, scale)) for scale, both in zip(self.scales, axes, strict=True)]
            return convolve_levels(maps, self.weight, levels, (maps.shape[2], maps.shape[3]))
        seen = laid_out(maps, self.weight, (both for scale, both in zip(self.scales, axes, strict=True) if scale != 1))
        return [self._response(seen, scale) for scale in self.scales]

    def _place(self, maps: Tensor, scale: float) -> tuple[slice, slice]:
        """The rows and columns of the result that D_{1/z} fills."""
        rows, columns = (inside(math.ceil(extent / self.stride), 1 / scale) for extent in maps.shape[2:])
        return rows, columns

    def _response(self, maps: Tensor, scale: float) -> Tensor:
        """D_{1/z} conv(D_z x), minus infinity where D_{1/z} leaves zeros: (N, O, H', W')."""
        if scale == 1:
            return same_conv2d(maps, self.weight, self.stride)
        response = resampled_conv2d(maps, self.weight, *self._axes(maps, scale))
        if scale < 1:
            return response
        (height, width), (rows, columns) = (math.ceil(e / self.stride) for e in maps.shape[2:]), self._place(maps, scale)
        margins = [columns.start, width - columns.stop, rows.start, height - rows.stop]
        if is_hwnc(response):
            return from_hwnc(F.pad(to_hwnc(response), (0, 0, 0, 0, *margins), value=-math.inf))
        return F.pad(response, margins, value=-math.inf)

    def _axes(self, maps: Tensor, scale: float) -> tuple[ResampledAxis, ResampledAxis]:
        height, width = maps.shape[2:]
        taps = self.weight.shape[-1]
        return rescaled_axis(height, scale, taps, self.stride), rescaled_axis(width, scale, taps, self.stride)


# ------------------------------------------------------------------------------------------------------------- networks

SCALES = (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33)
STL_SCALES = (0.5, 1.0, 2.0)


@register("si-convnet", tasks="mnist-scale-*", paper="Kanazawa et al. 2014, arXiv 1412.5104", options=UPSAMPLE)
def si_convnet(task: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: the plain network with seven scales in every convolution."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        convolution = ScaleInvariantConv(channels_in, channels_out, 7, SCALES, bias=True)
        body += stage(convolution, pool, BatchNorm2d(channels_out))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


class SiConvNetParts(Parts):
    """The skeleton with three scales in every 3 x 3 convolution; the shortcuts are ordinary."""

    def stem(self, channels_out: int) -> nn.Module:
        """The first layer is like the others."""
        return he_normal(ScaleInvariantConv(3, channels_out, 3, STL_SCALES))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """The maximum over rescaled maps."""
        return he_normal(ScaleInvariantConv(channels_in, channels_out, 3, STL_SCALES, stride=stride))


@register("si-convnet", tasks="stl10+", paper="Kanazawa et al. 2014, arXiv 1412.5104")
def si_convnet_wrn(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: WRN-16-8 with three scales in every 3 x 3 convolution."""
    del task
    return wide_resnet(SiConvNetParts(), **size)
