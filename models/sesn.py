"""SESN: scale-equivariant steerable networks.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, arXiv 1910.11093.

Filters are learned combinations of a fixed basis of 2-D Hermite functions under a Gaussian envelope (section 4.1). The basis is
tabulated at a geometric list of scales, so the same weights give the filter at every scale and no image is ever resampled:
equations 9 and 10 are the two convolutions of models/layers/steerable.py. The *scalar* network keeps the maximum over scales
after every layer, the *vector* network carries the scale axis until the last convolution.

Shape letters: F basis functions, E effective filter size (F = E*E), K full filter size, k_s that at scale s. Scale 0 is the
finest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn

from models.layers.conv.separable import Functions, functions_of
from models.layers.plain import BatchNorm2d
from models.layers.scale_axis import ScaleBatchNorm, ScaleProjection
from models.layers.steerable import LiftingConv, ScaleConv, ScaleConv1x1, SteerableFilters
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stages, vector_body
from models.registry import register
from models.wide_resnet import Parts, Place, Size, he_normal, wide_resnet

# ---------------------------------------------------------------------------------------------------------------- basis


def support_sizes(size: int, scales: Sequence[float]) -> list[int]:
    """Odd size in pixels of the filter at each scale, at most `size`, in proportion to the scale."""
    return [2 * (math.floor(size * scale / max(scales)) // 2) + 1 for scale in scales]


def hermite(order: int, points: Tensor) -> Tensor:
    """Probabilists' Hermite polynomial: He_0 = 1, He_1 = x, He_{n+1} = x He_n - n He_{n-1}."""
    previous, current = torch.zeros_like(points), torch.ones_like(points)
    for n in range(order):
        previous, current = current, points * current - n * previous
    return current


def hermite_function(order: int, sigma: float | Tensor, size: int) -> Tensor:
    """exp(-t^2 / 2 sigma^2) He_order(t / sigma) / sigma on `size` pixels around 0, float64 (size,)."""
    t = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return torch.exp(-(t**2) / (2 * sigma**2)) * hermite(order, t / sigma) / sigma


def function_orders(effective_size: int, max_order: int | None, mult: float) -> list[tuple[int, int, float]]:
    """(row order, column order, width divisor) of each of the E*E basis functions.

    Without `max_order` (STL-10) all orders below E, rows fastest. With it (MNIST) all pairs of total order up to `max_order`,
    level after level, each level `mult` times narrower than the one before.
    """
    count = effective_size**2
    if max_order is None:
        return [(p, q, 1.0) for q in range(effective_size) for p in range(effective_size)]
    per_level = [(p, q) for q in range(max_order + 1) for p in range(max_order + 1 - q)]
    levels = math.ceil(count / len(per_level))
    return [(p, q, mult**level) for level in range(levels) for p, q in per_level][:count]


def steerable_basis(
    size: int, scales: Sequence[float], effective_size: int, max_order: int | None = None, mult: float = 1.4
) -> tuple[list[Tensor], list[Tensor]]:
    """The basis at every scale's own support: (raw, normalised), each a list over scales of float64 (F, k_s, k_s).

    Normalised: function f is divided, at all scales, by its L2 norm at scale 0. `scales` ascend.
    """
    orders = function_orders(effective_size, max_order, mult)
    raw = []
    for scale, support in zip(scales, support_sizes(size, scales), strict=True):
        rows = torch.stack([hermite_function(p, scale / divisor, support) for p, _, divisor in orders])
        columns = torch.stack([hermite_function(q, scale / divisor, support) for _, q, divisor in orders])
        raw.append(rows[:, :, None] * columns[:, None, :])
    norms = raw[0].flatten(1).norm(dim=1)[:, None, None]
    return raw, [functions / norms for functions in raw]


def axis_functions(size: int, scales: Sequence[float], effective_size: int) -> list[Functions]:
    """The E functions of one axis at each scale, of which the basis without `max_order` is made of products, normalised."""
    supports = zip(scales, support_sizes(size, scales), strict=True)
    raw = [torch.stack([hermite_function(p, scale, k) for p in range(effective_size)]) for scale, k in supports]
    return [functions_of(functions / raw[0].norm(dim=1, keepdim=True)) for functions in raw]


def hermite_filters(
    size: int, scales: Sequence[float], effective_size: int, max_order: int | None = None, mult: float = 1.4
) -> SteerableFilters:
    """The filters that combine the basis. Without `max_order` its functions are products of those of the axes."""
    basis = steerable_basis(size, scales, effective_size, max_order, mult)[1]
    return SteerableFilters(basis, axes=axis_functions(size, scales, effective_size) if max_order is None else None)


# ------------------------------------------------------------------------------------------------------------- networks


EFFECTIVE_SIZE = 7
MAX_ORDER = 4


@dataclass(frozen=True)
class Configuration:
    """A published MNIST-scale configuration: S scales from `sigma_min` to `factor` times it, filters of K pixels."""

    scales: int
    factor: float
    sigma_min: float
    mult: float
    size: int

    @property
    def sigmas(self) -> list[float]:
        """sigma_min * factor^(i / (S-1)), to two decimals."""
        return [round(self.sigma_min * self.factor ** (i / (self.scales - 1)), 2) for i in range(self.scales)]

    def filters(self) -> SteerableFilters:
        """The filters of one layer."""
        return hermite_filters(self.size, self.sigmas, EFFECTIVE_SIZE, MAX_ORDER, self.mult)


SCALAR = {
    "28": Configuration(scales=4, factor=3, sigma_min=1.7, mult=1.5, size=15),
    "28p": Configuration(scales=4, factor=3, sigma_min=1.5, mult=1.4, size=13),
    "56": Configuration(scales=3, factor=2, sigma_min=2.0, mult=1.4, size=15),
    "56p": Configuration(scales=3, factor=3, sigma_min=1.0, mult=1.4, size=17),
}
VECTOR = {
    "28": Configuration(scales=3, factor=3, sigma_min=1.5, mult=1.5, size=13),
    "28p": Configuration(scales=3, factor=3, sigma_min=1.5, mult=1.4, size=15),
    "56": Configuration(scales=4, factor=2, sigma_min=2.0, mult=1.5, size=15),
    "56p": Configuration(scales=4, factor=2, sigma_min=1.5, mult=1.4, size=13),
}
# The configuration published for each task, and the other one of its size; "p" was tuned for the augmented tasks.
CONFIG_56 = {"mnist-scale-56": ("56", "56p"), "mnist-scale-56+": ("56p", "56")}
CONFIG = {"mnist-scale-28": ("28", "28p"), "mnist-scale-28+": ("28p", "28"), **CONFIG_56}
OPTIONS = {"config": CONFIG, **UPSAMPLE}


@register("sesn-scalar", tasks="mnist-scale-*", paper="Sosnovik et al. 2020, arXiv 1910.11093", options=OPTIONS)
def sesn_scalar(task: str, config: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: three lifting convolutions, each followed by the maximum over scales."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        lifting = LiftingConv(channels_in, channels_out, SCALAR[config].filters(), bias=True, project=True)
        body += stage(lifting, pool, BatchNorm2d(channels_out))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


VECTOR_OPTIONS = {**OPTIONS, "pool": {"mnist-scale-56*": ("max", "average")}}


@register("sesn-vector", tasks="mnist-scale-*", paper="Sosnovik et al. 2020, arXiv 1910.11093", options=VECTOR_OPTIONS)
def sesn_vector(task: str, config: str, pool: str = "max", upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: a lifting convolution, two convolutions over scale and translation (L = 1), then the maximum."""
    body = vector_body(task, VECTOR[config].filters, pool)
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


STL_SIZE, STL_EFFECTIVE_SIZE, STL_STEP = 7, 3, 1.41


def stl_filters(sigma_min: float) -> SteerableFilters:
    """The filters of one layer, at three scales."""
    return hermite_filters(STL_SIZE, [sigma_min * STL_STEP**i for i in range(3)], STL_EFFECTIVE_SIZE)


class SesnParts(Parts):
    """The skeleton on three scales; `filters` makes those of a layer.

    `project_groups`: groups whose first convolution is a projection followed by a lifting (the shortcut keeps all scales).
    `extent`: the scale extent of the very first convolution of the blocks; all others have 1.
    """

    def __init__(self, filters: Callable[[], SteerableFilters], project_groups: Sequence[int] = (), extent: int = 1) -> None:
        self.filters, self.project_groups, self.extent = filters, project_groups, extent

    def stem(self, channels_out: int) -> nn.Module:
        """From the image to scale-space."""
        return he_normal(LiftingConv(3, channels_out, self.filters()))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """Without interaction between scales, but for the two exceptions above."""
        opens = place.block == 0 and place.which == 1
        if opens and place.group in self.project_groups:
            lifting = LiftingConv(channels_in, channels_out, self.filters(), stride=stride)
            return nn.Sequential(ScaleProjection(), he_normal(lifting))
        extent = self.extent if opens and place.group == 1 else 1
        return he_normal(ScaleConv(channels_in, channels_out, self.filters(), extent=extent, stride=stride))

    def shortcut(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """One matrix for all scales."""
        return he_normal(ScaleConv1x1(channels_in, channels_out, stride=stride))

    def norm(self, channels: int) -> nn.Module:
        """Statistics over scales too."""
        return ScaleBatchNorm(channels)

    def tail(self, channels: int) -> Sequence[nn.Module]:
        """The projection comes first."""
        return [ScaleProjection(), BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@register("sesn-a", tasks="stl10+", paper="Sosnovik et al. 2020, arXiv 1910.11093")
def sesn_a(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: WRN-16-8 with all scales kept to the end."""
    del task
    return wide_resnet(SesnParts(partial(stl_filters, 0.9)), **size)


@register("sesn-b", tasks="stl10+", paper="Sosnovik et al. 2020, arXiv 1910.11093")
def sesn_b(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: as `sesn-a`, with a projection and a new lifting at the start of groups 2 and 3."""
    del task
    return wide_resnet(SesnParts(partial(stl_filters, 0.9), project_groups=(2, 3)), **size)


@register("sesn-c", tasks="stl10+", paper="Sosnovik et al. 2020, arXiv 1910.11093")
def sesn_c(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,979,802 parameters: as `sesn-a`, with one convolution that combines neighbouring scales (extent 2)."""
    del task
    return wide_resnet(SesnParts(partial(stl_filters, 1.1), extent=2), **size)
