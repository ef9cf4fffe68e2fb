"""SESN: scale-equivariant steerable networks.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, arXiv 1910.11093.

Filters are learned combinations of a fixed basis of 2-D Hermite functions under a Gaussian envelope (section 4.1). The basis is
tabulated at a geometric list of scales, so the same weights give the filter at every scale and no image is ever resampled:
equations 9 and 10 are the two convolutions below. The *scalar* network keeps the maximum over scales after every layer, the
*vector* network carries the scale axis until the last convolution.

Shape letters: N batch, C channels in, O channels out, S scales, L scale extent of a filter, F basis functions, E effective
filter size (F = E*E), K full filter size, H, W map. Scale 0 is the finest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from models.layers.conv.fourier_bank import FilterBank
from models.layers.conv.same import same_conv2d, same_conv2d_bank, steered_conv2d
from models.layers.conv.separable import Functions, functions_of
from models.layers.launches import few_launches
from models.layers.layout import fold_scales, unfold_scales
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.scale_axis import (
    ScaleBatchNorm,
    ScaleMaxPool,
    ScaleProjection,
    largest_response,
    neighbouring_scales,
    pool_scales,
    stack_scales,
    stacked,
)
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stage_pools, stages
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


def hermite_function(order: int, sigma: float, size: int) -> Tensor:
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


class SteerableFilters(nn.Module):
    """Weights (..., F) -> filters at each scale. The basis is kept in float64, so that `.double()` loses nothing."""

    def __init__(self, size: int, scales: Sequence[float], effective_size: int, max_order: int | None, mult: float) -> None:
        super().__init__()
        self.scales, self.effective_size = tuple(scales), effective_size
        self.axes = axis_functions(size, scales, effective_size) if max_order is None else None
        basis = steerable_basis(size, scales, effective_size, max_order, mult)[1]
        for s, functions in enumerate(basis):
            self.register_buffer(f"basis_{s}", functions, persistent=False)
        self.bank = FilterBank(basis) if max_order is not None else None  # what is made of products has algorithms of its own

    def forward(self, weight: Tensor) -> list[Tensor]:
        """Return for each scale sum_f w[..., f] B[f, s] at its own support: (..., k_s, k_s)."""
        return [self._at_scale(weight, s) for s in range(len(self.scales))]

    def together(self, maps: Tensor, weight: Tensor, stride: int) -> Tensor | None:
        """Convolve (N, C, M, H, W), M = 1 or S, with the filters of (O, C, F) -> (N, O, S, H, W) if this is a cheap way."""
        if self.bank is None or not self.bank.pays(maps, len(weight), stride):
            return None
        return self.bank.convolve(maps, weight)

    def convolve(self, maps: Sequence[Tensor], weights: Sequence[Tensor], stride: int) -> list[Tensor]:
        """For each scale convolve its (N, C, H, W) with the filters of its weights (O, C, F) -> (N, O, H', W')."""
        if self.axes is not None:
            factors = (weight.unflatten(-1, (self.effective_size, self.effective_size)).mT for weight in weights)
            terms = zip(maps, factors, self.axes, strict=True)
            return [steered_conv2d(seen, weight, axis, axis, stride) for seen, weight, axis in terms]
        filters = (self._at_scale(weight, s) for s, weight in enumerate(weights))
        return [same_conv2d(seen, bank, stride) for seen, bank in zip(maps, filters, strict=True)]

    def _at_scale(self, weight: Tensor, s: int) -> Tensor:
        filters: Tensor = torch.tensordot(weight, self.get_buffer(f"basis_{s}").to(weight.dtype), dims=1)
        return filters


# --------------------------------------------------------------------------------------------------------------- layers


class _HermiteConv(PoolingLayer):
    """What both convolutions are made of: weight (*shape, F), bias (O) or none, and the filters at every scale.

    Zero padding (K-1)/2. `project` keeps the maximum over scales alone, (N, O, H', W').
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        scales: Sequence[float],
        effective_size: int,
        *,
        stride: int = 1,
        bias: bool = False,
        project: bool = False,
        max_order: int | None = None,
        mult: float = 1.4,
    ) -> None:
        super().__init__()
        self.stride, self.project = stride, project
        self.weight = nn.Parameter(torch.empty(*shape, effective_size**2))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.filters = SteerableFilters(size, scales, effective_size, max_order, mult)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))


class ScaleConv(_HermiteConv):
    """The convolution over scale and translation, equation 10: (N, C, S, H, W) -> (N, O, S, H', W').

    y[n, o, s] = sum_j sum_c x[n, c, s + j] * k[o, c, j, s] + b[o] for j < L, with zeros beyond the coarsest scale. The filter's
    scale is that of the output. Weight (O, C, L, F).
    """

    def __init__(self, channels_in: int, channels_out: int, *basis: Any, extent: int = 1, **settings: Any) -> None:
        super().__init__((channels_out, channels_in, extent), *basis, **settings)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """Convolve, and pool; the result is laid out scale by scale in memory."""
        scales, extent = len(self.filters.scales), self.weight.shape[2]
        weight = self.weight.transpose(1, 2).flatten(1, 2)  # (O, L*C, F)
        together = self.filters.together(maps, weight, self.stride) if extent == 1 and maps.shape[2] == scales else None
        if together is not None:
            return _with_bias(together, pool, self.bias, self.project)
        seen = neighbouring_scales(maps, scales, extent)
        responses = self.filters.convolve(seen, [weight[:, : level.shape[1]] for level in seen], self.stride)
        return _with_bias(responses, pool, self.bias, self.project)


class LiftingConv(_HermiteConv):
    """The convolution from an image to scale-space, equation 9: (N, C, H, W) -> (N, O, S, H', W').

    y[n, o, s] = sum_c x[n, c] * k[o, c, s] + b[o]. Weight (O, C, F).
    """

    def __init__(self, channels_in: int, channels_out: int, *basis: Any, **settings: Any) -> None:
        super().__init__((channels_out, channels_in), *basis, **settings)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """Convolve, and pool; the result is laid out scale by scale in memory."""
        responses: Tensor | list[Tensor]
        together = self.filters.together(maps[:, :, None], self.weight, self.stride)
        if together is not None:
            responses = together
        elif self.filters.axes is None:  # filters of several sizes on one map share its transform
            responses = same_conv2d_bank(maps, self.filters(self.weight), self.stride)
        else:
            count = len(self.filters.scales)
            responses = self.filters.convolve([maps] * count, [self.weight] * count, self.stride)
        return _with_bias(responses, pool, self.bias, self.project)


class ScaleConv1x1(nn.Module):
    """One matrix for every scale and pixel: (N, C, S, H, W) -> (N, O, S, H', W'). Weight (O, C, 1, 1), no bias."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, maps: Tensor) -> Tensor:
        return unfold_scales(same_conv2d(fold_scales(maps), self.weight, self.stride), maps.shape[2])


def _with_bias(responses: Tensor | Sequence[Tensor], pool: PoolingLayer.Pool, bias: Tensor | None, project: bool) -> Tensor:
    """S responses (N, O, H, W), stacked or not, pooled, plus the bias: (N, O, S, H', W') or their maximum, (N, O, H', W')."""
    if project:  # the bias, the same at every scale, comes after the maximum
        largest, _ = largest_response(responses, pool)
        return largest if bias is None else largest + bias[:, None, None]
    if isinstance(responses, Tensor) or few_launches(responses[0]):
        stack = pool_scales(stacked(responses), pool)
    else:
        stack = stack_scales([pool(response) for response in responses])
    return stack if bias is None else stack + bias[:, None, None, None]


# ------------------------------------------------------------------------------------------------------------- networks


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
OPTIONS = {
    "config": {
        "mnist-scale-28": ("28", "28p"),
        "mnist-scale-28+": ("28p", "28"),
        "mnist-scale-56": ("56", "56p"),
        "mnist-scale-56+": ("56p", "56"),
    },
    **UPSAMPLE,
}
EFFECTIVE_SIZE = 7
MAX_ORDER = 4


def _convolution(
    kind: type[LiftingConv | ScaleConv], config: Configuration, channels_in: int, channels_out: int, *, project: bool = False
) -> nn.Module:
    basis = (config.size, config.sigmas, EFFECTIVE_SIZE)
    return kind(channels_in, channels_out, *basis, bias=True, project=project, max_order=MAX_ORDER, mult=config.mult)


@register("sesn-scalar", tasks="mnist-scale-*", paper="Sosnovik et al. 2020, arXiv 1910.11093", options=OPTIONS)
def sesn_scalar(task: str, config: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: three lifting convolutions, each followed by the maximum over scales."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        lifting = _convolution(LiftingConv, SCALAR[config], channels_in, channels_out, project=True)
        body += stage(lifting, pool, BatchNorm2d(channels_out))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


@register("sesn-vector", tasks="mnist-scale-*", paper="Sosnovik et al. 2020, arXiv 1910.11093", options=OPTIONS)
def sesn_vector(task: str, config: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: a lifting convolution, two convolutions over scale and translation (L = 1), then the maximum."""
    c = VECTOR[config]
    first, second, third = CHANNELS
    pool_1, pool_2, pool_3 = stage_pools(task)
    body: list[nn.Module] = [
        *stage(_convolution(LiftingConv, c, 1, first), ScaleMaxPool(pool_1), ScaleBatchNorm(first)),
        *stage(_convolution(ScaleConv, c, first, second), ScaleMaxPool(pool_2), ScaleBatchNorm(second)),
        *stage(_convolution(ScaleConv, c, second, third, project=True), pool_3, BatchNorm2d(third)),
    ]
    return mnist_net(task, body, linear_head(4 * third), upsample)


STL_SIZE, STL_EFFECTIVE_SIZE, STL_STEP = 7, 3, 1.41


class SesnParts(Parts):
    """The skeleton on three scales.

    `project_groups`: groups whose first convolution is a projection followed by a lifting (the shortcut keeps all scales).
    `extent`: the scale extent of the very first convolution of the blocks; all others have 1.
    """

    def __init__(self, sigma_min: float, project_groups: Sequence[int] = (), extent: int = 1) -> None:
        self.basis = (STL_SIZE, [sigma_min * STL_STEP**i for i in range(3)], STL_EFFECTIVE_SIZE)
        self.project_groups, self.extent = project_groups, extent

    def stem(self, channels_out: int) -> nn.Module:
        """From the image to scale-space."""
        return he_normal(LiftingConv(3, channels_out, *self.basis))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """Without interaction between scales, but for the two exceptions above."""
        opens = place.block == 0 and place.which == 1
        if opens and place.group in self.project_groups:
            return nn.Sequential(
                ScaleProjection(), he_normal(LiftingConv(channels_in, channels_out, *self.basis, stride=stride))
            )
        extent = self.extent if opens and place.group == 1 else 1
        return he_normal(ScaleConv(channels_in, channels_out, *self.basis, extent=extent, stride=stride))

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
    return wide_resnet(SesnParts(0.9), **size)


@register("sesn-b", tasks="stl10+", paper="Sosnovik et al. 2020, arXiv 1910.11093")
def sesn_b(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: as `sesn-a`, with a projection and a new lifting at the start of groups 2 and 3."""
    del task
    return wide_resnet(SesnParts(0.9, project_groups=(2, 3)), **size)


@register("sesn-c", tasks="stl10+", paper="Sosnovik et al. 2020, arXiv 1910.11093")
def sesn_c(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,979,802 parameters: as `sesn-a`, with one convolution that combines neighbouring scales (extent 2)."""
    del task
    return wide_resnet(SesnParts(1.1, extent=2), **size)
