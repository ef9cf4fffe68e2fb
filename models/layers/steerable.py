"""Convolutions with steerable filters: learned combinations of a fixed basis that is tabulated at several scales.

The same weights give the filter at every scale, and no map is ever resampled (Sosnovik et al. 2020, equations 9 and 10). What
the basis is, a method says (models/sesn.py has Hermite functions).

Shape letters: N batch, C channels in, O channels out, S scales, L scale extent of a filter, F basis functions, k_s width of the
filters at scale s, H, W map. Scale 0 is the finest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.conv.fourier_bank import FilterBank
from models.layers.conv.same import same_conv2d, same_conv2d_bank, steered_conv2d
from models.layers.conv.separable import Functions
from models.layers.launches import few_launches
from models.layers.layout import fold_scales, unfold_scales
from models.layers.plain import PoolingLayer, RectifiedAvgPool2d, unpooled
from models.layers.scale_axis import largest_response, neighbouring_scales, pool_scales, stack_scales, stacked


class SteerableFilters(nn.Module):
    """Weights (..., F) -> filters at each scale, sum_f w[..., f] B[f, s].

    `basis`: at each of S scales the functions, float64 (F, k_s, k_s), k_s odd. `dilations`: how many pixels their taps are
    apart, 1 if none are given. `axes`: at each scale the A functions of one axis, if the basis is made of their products, F =
    A*A, rows fastest. The basis is kept in float64, so that `.double()` loses nothing.
    """

    def __init__(
        self, basis: Sequence[Tensor], *, dilations: Sequence[int] | None = None, axes: Sequence[Functions] | None = None
    ) -> None:
        super().__init__()
        self.scales, self.functions = len(basis), len(basis[0])
        self.dilations, self.axes = tuple(dilations or [1] * len(basis)), axes
        for s, functions in enumerate(basis):
            self.register_buffer(f"basis_{s}", functions, persistent=False)
        # What is made of products has algorithms of its own.
        self.bank = FilterBank(basis, self.dilations) if axes is None else None

    def forward(self, weight: Tensor) -> list[Tensor]:
        """Return for each scale its filters at their own support: (..., k_s, k_s)."""
        return [self._at_scale(weight, s) for s in range(self.scales)]

    def together(self, maps: Tensor, weight: Tensor, stride: int) -> Tensor | None:
        """Convolve (N, C, M, H, W), M = 1 or S, with the filters of (O, C, F) -> (N, O, S, H, W) if this is a cheap way."""
        if self.bank is None or not self.bank.pays(maps, len(weight), stride):
            return None
        return self.bank.convolve(maps, weight)

    def lift(self, maps: Tensor, weight: Tensor, stride: int) -> list[Tensor]:
        """Convolve (N, C, H, W) with the filters of (O, C, F) at every scale -> S times (N, O, H', W')."""
        if self.axes is not None:
            return self.convolve([maps] * self.scales, [weight] * self.scales, stride)
        filters = self(weight)
        responses: dict[int, Tensor] = {}
        for dilation in dict.fromkeys(self.dilations):  # filters of several sizes on one map share its transform
            these = [s for s in range(self.scales) if self.dilations[s] == dilation]
            found = same_conv2d_bank(maps, [filters[s] for s in these], stride, dilation)
            responses.update(zip(these, found, strict=True))
        return [responses[s] for s in range(self.scales)]

    def convolve(self, maps: Sequence[Tensor], weights: Sequence[Tensor], stride: int) -> list[Tensor]:
        """For each scale convolve its (N, C, H, W) with the filters of its weights (O, C, F) -> (N, O, H', W')."""
        if self.axes is not None:
            count = len(self.axes[0])
            factors = (weight.unflatten(-1, (count, count)).mT for weight in weights)
            terms = zip(maps, factors, self.axes, strict=True)
            return [steered_conv2d(seen, weight, axis, axis, stride) for seen, weight, axis in terms]
        filters = (self._at_scale(weight, s) for s, weight in enumerate(weights))
        terms_of = zip(maps, filters, self.dilations, strict=True)
        return [same_conv2d(seen, bank, stride, dilation) for seen, bank, dilation in terms_of]

    def _at_scale(self, weight: Tensor, s: int) -> Tensor:
        filters: Tensor = torch.tensordot(weight, self.get_buffer(f"basis_{s}").to(weight.dtype), dims=1)
        return filters


class _SteerableConv(PoolingLayer):
    """What both convolutions are made of: weight (*shape, F), bias (O) or none, and the filters at every scale.

    Zero padding (K-1)/2. `project` keeps the maximum over scales alone, (N, O, H', W').
    """

    averages = True

    def __init__(
        self,
        shape: tuple[int, ...],
        filters: SteerableFilters,
        *,
        stride: int = 1,
        bias: bool = False,
        project: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.project = stride, project
        self.weight = nn.Parameter(torch.empty(*shape, filters.functions))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.filters = filters
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))


class ScaleConv(_SteerableConv):
    """The convolution over scale and translation, equation 10: (N, C, S, H, W) -> (N, O, S, H', W').

    y[n, o, s] = sum_j sum_c x[n, c, s + j] * k[o, c, j, s] + b[o] for j < L, with zeros beyond the coarsest scale. The filter's
    scale is that of the output. Weight (O, C, L, F).
    """

    def __init__(
        self, channels_in: int, channels_out: int, filters: SteerableFilters, *, extent: int = 1, **settings: Any
    ) -> None:
        super().__init__((channels_out, channels_in, extent), filters, **settings)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """Convolve, and pool; the result is laid out scale by scale in memory."""
        scales, extent = self.filters.scales, self.weight.shape[2]
        weight = self.weight.transpose(1, 2).flatten(1, 2)  # (O, L*C, F)
        together = self.filters.together(maps, weight, self.stride) if extent == 1 and maps.shape[2] == scales else None
        if together is not None:
            return _with_bias(together, pool, self.bias, self.project)
        seen = neighbouring_scales(maps, scales, extent)
        responses = self.filters.convolve(seen, [weight[:, : level.shape[1]] for level in seen], self.stride)
        return _with_bias(responses, pool, self.bias, self.project)


class LiftingConv(_SteerableConv):
    """The convolution from an image to scale-space, equation 9: (N, C, H, W) -> (N, O, S, H', W').

    y[n, o, s] = sum_c x[n, c] * k[o, c, s] + b[o]. Weight (O, C, F).
    """

    def __init__(self, channels_in: int, channels_out: int, filters: SteerableFilters, **settings: Any) -> None:
        super().__init__((channels_out, channels_in), filters, **settings)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        """Convolve, and pool; the result is laid out scale by scale in memory."""
        together = self.filters.together(maps[:, :, None], self.weight, self.stride)
        responses = self.filters.lift(maps, self.weight, self.stride) if together is None else together
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
    if isinstance(pool, RectifiedAvgPool2d):
        responses, bias = _biased(responses, bias), None
    if isinstance(responses, Tensor) or few_launches(responses[0]):
        stack = pool_scales(stacked(responses), pool)
    else:
        stack = stack_scales([pool(response) for response in responses])
    return stack if bias is None else stack + bias[:, None, None, None]


def _biased(responses: Tensor | Sequence[Tensor], bias: Tensor | None) -> Tensor | list[Tensor]:
    """S responses plus the bias, in memory of their own."""
    if bias is None:
        return responses.clone() if isinstance(responses, Tensor) else [response.clone() for response in responses]
    if isinstance(responses, Tensor):
        return responses + bias[:, None, None, None]
    return [response + bias[:, None, None] for response in responses]
