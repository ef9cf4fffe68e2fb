"""DSS: deep scale-spaces.

Worrall & Welling, "Deep Scale-spaces: Equivariance Over Scale", NeurIPS 2019, arXiv 1905.11697.

The image is lifted to a Gaussian scale-space; the convolutions use filters dilated by powers of an integer base (the paper's
semigroup correlation), which makes them exactly equivariant to subsampling by that base. The *scalar* network lifts anew and
keeps the maximum over scales in every layer, the *vector* network lifts once and keeps the scale axis.

Shape letters: N batch, C channels in, O channels out, S scales, L scale extent of a filter, k filter size, H, W map.
Scale 0 is the finest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Unpack

import numpy as np
import torch
from scipy.special import ive
from torch import Tensor, nn

from models.layers.conv.fourier_bank import FilterBank, taps_of
from models.layers.conv.same import same_conv2d
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.scale_axis import (
    ScaleBatchNorm,
    ScalePool,
    ScaleProjection,
    largest,
    largest_response,
    neighbouring_scales,
    pool_scales,
    stack_scales,
)
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stages
from models.registry import register
from models.wide_resnet import Parts, Place, Size, wide_resnet

BASE = 2

# ---------------------------------------------------------------------------------------------------------- scale-space


def discrete_gaussian(variance: float) -> Tensor:
    """exp(-t) I_|x|(t) for |x| <= 4 ceil(sqrt(t)), with sum 1: float64 (2r+1,), rounded to float32 as published."""
    radius = 4 * math.ceil(math.sqrt(variance))
    taps = ive(np.abs(np.arange(-radius, radius + 1)), variance)
    return torch.from_numpy(taps / taps.sum()).float().double()


class GaussianLifting(nn.Module):
    """The lifting: (N, C, H, W) -> (N, C, S, H, W). No parameters.

    Level 0 is the input, level l the input smoothed by the discrete Gaussian of variance z^2 (2^(2l) - 1), z the scale at which
    the input itself is taken to stand. Zeros outside the image.
    """

    def __init__(self, scales: int, zero_scale: float) -> None:
        super().__init__()
        self.scales = scales
        variances = [zero_scale**2 * (BASE ** (2 * level) - 1) for level in range(1, scales)]
        self.kernels = tuple(tuple(discrete_gaussian(variance).tolist()) for variance in variances)

    def forward(self, maps: Tensor) -> Tensor:
        """Smooth; the result is laid out scale by scale in memory."""
        (height, width), kind = maps.shape[-2:], (maps.dtype, maps.device)
        levels = [maps]
        for kernel in self.kernels:
            levels.append(smoothing(kernel, height, *kind) @ (maps @ smoothing(kernel, width, *kind)))
        return stack_scales(levels)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
def smoothing(kernel: tuple[float, ...], extent: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The symmetric matrix (extent, extent) that smooths an axis: entry (i, j) is the kernel's tap at distance |i - j|."""
    one_side = torch.nn.functional.pad(torch.tensor(kernel[len(kernel) // 2 :], dtype=torch.float64), (0, extent))
    places = torch.arange(extent)
    return one_side[(places[:, None] - places).abs()].to(device=device, dtype=dtype)


# ---------------------------------------------------------------------------------------------------------------- layer


class DilatedScaleConv(PoolingLayer):
    """The scale correlation: (N, C, S', H, W) -> (N, O, S, H', W'), S <= S'.

    y[n, o, s] = sum_i sum_c x[n, c, s + i] * w[o, c, i] for i < L, the filter dilated by 2^s, terms with s + i >= S dropped.
    Zero padding 2^s (k-1)/2. Weight (O, C, L, k, k), no bias. `init`: "he" (MNIST) or "delta" (STL-10). `project` keeps the
    maximum over scales alone, (N, O, H', W').
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        scales: int,
        *,
        extent: int = 1,
        stride: int = 1,
        init: str = "he",
        project: bool = False,
    ) -> None:
        super().__init__()
        self.scales, self.stride, self.project = scales, stride, project
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, extent, size, size))
        self.bank = FilterBank([taps_of(size)] * scales, [BASE**s for s in range(scales)])
        if init == "he":
            nn.init.normal_(self.weight, std=math.sqrt(2 / (size * size * extent * channels_in)))
        else:
            delta_init(self.weight)

    def _together(self, maps: Tensor) -> bool:
        """Whether one product of all scales is possible and pays."""
        alone = self.weight.shape[2] == 1 and maps.shape[2] == self.scales
        return alone and self.bank.pays(maps, len(self.weight), self.stride)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """Convolve, and pool; the result is laid out scale by scale in memory."""
        weight, responses = self.weight.transpose(1, 2).flatten(1, 2), []
        if self._together(maps):
            stack = pool_scales(self.bank.convolve(maps, weight.flatten(2)), pool)
            return largest(stack)[0] if self.project else stack
        for s, seen in enumerate(neighbouring_scales(maps, self.scales, self.weight.shape[2])):
            responses.append(pool(same_conv2d(seen, weight[:, : seen.shape[1]], self.stride, dilation=BASE**s)))
        return largest_response(responses, unpooled)[0] if self.project else stack_scales(responses)


def delta_init(weight: Tensor) -> None:
    """Nearly the identity: noise of +-0.01, and a centre tap of g / O for each pair of channels in the same of g groups.

    `weight` is (O, C, L, k, k); g is the greatest common divisor of O and C.
    """
    channels_out, channels_in, _, size, _ = weight.shape
    groups = math.gcd(channels_in, channels_out)
    group_out = torch.arange(channels_out) * groups // channels_out
    group_in = torch.arange(channels_in) * groups // channels_in
    with torch.no_grad():
        nn.init.uniform_(weight, -0.01, 0.01)
        centre = weight[..., size // 2, size // 2]
        centre[group_out[:, None] == group_in] = groups / channels_out


# ------------------------------------------------------------------------------------------------------------- networks

SCALES = 2
ZERO_SCALE = 0.25


@register("dss-scalar", tasks="mnist-scale-*", paper="Worrall & Welling 2019, arXiv 1905.11697", options=UPSAMPLE)
def dss_scalar(task: str, upsample: str = "nearest") -> nn.Module:
    """494,359 parameters: every layer lifts all its channels, convolves and takes the maximum over scales."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        convolution = DilatedScaleConv(channels_in, channels_out, 7, SCALES, project=True)
        body += [GaussianLifting(SCALES, ZERO_SCALE), *stage(convolution, pool, BatchNorm2d(channels_out))]
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


@register("dss-vector", tasks="mnist-scale-*", paper="Worrall & Welling 2019, arXiv 1905.11697", options=UPSAMPLE)
def dss_vector(task: str, upsample: str = "nearest") -> nn.Module:
    """494,359 parameters: the image is lifted once; the maximum over scales comes before the head."""
    body: list[nn.Module] = [GaussianLifting(SCALES, ZERO_SCALE)]
    for channels_in, channels_out, pool in stages(task):
        convolution = DilatedScaleConv(channels_in, channels_out, 7, SCALES)
        body += stage(convolution, ScalePool(pool), ScaleBatchNorm(channels_out))
    return mnist_net(task, [*body, ScaleProjection()], linear_head(4 * CHANNELS[-1]), upsample)


STL_SCALES = 4
STL_ZERO_SCALE = 0.5


class DssParts(Parts):
    """The skeleton on four scales, of which the first blocks of groups 1 and 2 each consume one.

    There the first convolution combines neighbouring scales (extent 2); the second, and the shortcut, leave the coarsest out.
    """

    def widths(self, widen_factor: int) -> tuple[int, int, int, int]:
        """The second group is narrower, 240 channels in WRN-16-8: its share of the weights that extent 2 adds."""
        return 16, 16 * widen_factor, math.ceil(32 / math.sqrt(8 / 7)) * widen_factor, 64 * widen_factor

    def stem(self, channels_out: int) -> nn.Module:
        """Lift, then convolve."""
        lifting = GaussianLifting(STL_SCALES, STL_ZERO_SCALE)
        return nn.Sequential(lifting, DilatedScaleConv(3, channels_out, 3, STL_SCALES, init="delta"))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """Of extent 2 where a scale is consumed, else 1."""
        before, after = self._scales(place)
        consumes = before > after and place.which == 1
        scales, extent = (before, 2) if consumes else (after, 1)
        return DilatedScaleConv(channels_in, channels_out, 3, scales, extent=extent, stride=stride, init="delta")

    def shortcut(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """One matrix for all scales that are left."""
        return DilatedScaleConv(channels_in, channels_out, 1, self._scales(place)[1], stride=stride, init="delta")

    def norm(self, channels: int) -> nn.Module:
        """Statistics over scales too."""
        return ScaleBatchNorm(channels)

    def tail(self, channels: int) -> Sequence[nn.Module]:
        """The maximum over scales comes after normalisation and rectifier."""
        return [self.norm(channels), nn.ReLU(), ScaleProjection(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    @staticmethod
    def _scales(place: Place) -> tuple[int, int]:
        """The number of scales before and after a block."""
        after = max(STL_SCALES - place.group, 2)
        return (min(STL_SCALES + 1 - place.group, after + 1) if place.block == 0 else after), after


@register("dss", tasks="stl10+", paper="Worrall & Welling 2019, arXiv 1905.11697")
def dss_wrn(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,939,482 parameters: WRN-16-8 on a scale-space of four levels. `widen_factor` is at least 2."""
    del task
    return wide_resnet(DssParts(), **size)
