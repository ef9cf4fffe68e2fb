"""Convolutions with the filters of several scales at once, in the Fourier domain of one period: few launches.

The filters of a layer are linear combinations of fixed functions (a basis, or the taps of a filter that is resized or dilated).
So their transforms are too: one matrix product makes the transforms of all filters of all scales from the weights, and no
filter is ever made. One batch of products then does all scales, between one transform and one synthesis of the maps
(`dft.py` says how these work).

Every scale has a period of its own that would do, and here all have the largest one, and the functions are transformed tap by
tap: some more operations for a tenth of the launches. It is for GPUs (`../launches.py` says why).

Shape letters: N batch, C channels in, O channels out, S scales, J functions, H, W map, F entries of a transform (3 P R).
Maps come in M groups: M = 1, which all S scales see, or M = S, one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv.algorithm import fourier_pays
from models.layers.conv.dft import Transform, analyse, of_filters, of_maps, of_results, synthesise
from models.layers.launches import few_launches
from models.layers.layout import fold_scales, to_hwnc


class FilterBank:
    """What a layer's filters are made of: at each of S scales J functions, float64 (J, k, k), k odd, taps `dilations` apart."""

    def __init__(self, functions: Sequence[Tensor], dilations: Sequence[int] | None = None) -> None:
        self.functions = [one.to(torch.float64) for one in functions]
        self.dilations = tuple(dilations or [1] * len(functions))
        self._transforms: dict[Any, Tensor] = {}  # of each size, type and device that maps have had

    def taps(self) -> list[int]:
        """The width of each scale's filters."""
        return [functions.shape[-1] for functions in self.functions]

    def periods(self, height: int, width: int) -> tuple[int, int]:
        """Those that do for all scales; what a filter reaches beyond the map's size meets padding only."""
        reach = max(d * (k // 2) for k, d in zip(self.taps(), self.dilations, strict=True))
        return height + min(reach, height - 1), width + min(reach, width - 1)

    @torch.inference_mode(False)  # kept for training steps, even when an evaluation is the first to ask
    def transforms(self, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The transforms of all functions, made in float64 and rounded once: (F, S, J)."""
        key = (height, width, dtype, device)
        if key not in self._transforms:
            periods, made = self.periods(height, width), []
            for functions, dilation in zip(self.functions, self.dilations, strict=True):
                cut = [max(0, functions.shape[-1] // 2 - (extent - 1) // dilation) for extent in (height, width)]
                kept = F.pad(functions, (-cut[1], -cut[1], -cut[0], -cut[0]))
                reach = [dilation * (k // 2) for k in kept.shape[1:]]
                taps = (range(-r, r + 1, dilation) for r in reach)
                transform = of_filters(*taps, periods, torch.float64, functions.device)
                made.append(analyse(kept.permute(1, 2, 0)[..., None].contiguous(), transform)[..., 0])
            self._transforms[key] = torch.stack(made, dim=1).to(device=device, dtype=dtype)
        return self._transforms[key]

    def pays(self, maps: Tensor, channels_out: int, stride: int = 1) -> bool:
        """Whether to `convolve`: on a GPU, for small maps, if it counts less than torch's convolution for every scale."""
        height, width = maps.shape[3:]
        periods = self.periods(height, width)
        return few_launches(maps) and stride == 1 and fourier_pays(maps, channels_out, self.taps(), self.dilations, periods)

    def convolve(self, maps: Tensor, coefficients: Tensor) -> Tensor:
        """Convolve with the filters that coefficients make: (N, C, M, H, W) -> (N, O, S, H, W), zero padding, stride 1.

        `coefficients`: (O, C, J), or (S, O, C, J), each scale's own. The result is in HWNC layout.
        """
        n, _, groups, height, width = maps.shape
        kind, periods = (maps.dtype, maps.device), self.periods(height, width)
        before = of_maps(range(height), range(width), periods, *kind)
        after = of_results(range(height), range(width), periods, *kind)
        functions = self.transforms(height, width, *kind)
        pixels = to_hwnc(fold_scales(maps))  # (H, W, M*N, C)
        own = coefficients if coefficients.ndim == 4 else coefficients[None]
        result: Tensor = _BankProducts.apply(pixels, own, functions, before, after, groups)
        scales = functions.shape[1]
        by_scale: Tensor = result.unflatten(3, (scales, -1)) if groups == 1 else result.unflatten(2, (scales, n))
        return by_scale.permute(2, 4, 3, 0, 1) if groups == 1 else by_scale.permute(3, 4, 2, 0, 1)


def taps_of(size: int) -> Tensor:
    """The functions of a filter whose weights are its taps: float64 (size^2, size, size)."""
    return torch.eye(size * size, dtype=torch.float64).view(-1, size, size)


class _BankProducts(torch.autograd.Function):
    """(H, W, M*N, C) and (1 or S, O, C, J) -> (H', W', M*N, S/M * O)."""

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, own: Tensor, functions: Tensor, before: Transform, after: Transform, groups: int
    ) -> Tensor:
        entries, c = len(functions), own.shape[2]
        values = analyse(pixels, before).view(entries * groups, -1, c)
        responses = _combined(functions, own.flatten(1, 2)).view(entries * groups, -1, c)  # (F M, S/M O, C)
        products = torch.bmm(values, responses.mT)  # (F M, N, S/M O)
        ctx.save_for_backward(values, responses, functions)
        ctx.transforms, ctx.shapes = (before, after), (pixels.shape, own.shape)
        return synthesise(products.view(entries, groups * values.shape[1], -1), after)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        values, responses, functions = ctx.saved_tensors
        (before, after), (pixels, own) = ctx.transforms, ctx.shapes
        of_products = analyse(gradients[0].contiguous(), after).view(len(values), values.shape[1], -1)
        of_responses = torch.bmm(of_products.mT, values).view(*functions.shape[:2], -1)  # (F, S, O C)
        of_pixels = None
        if ctx.needs_input_grad[0]:
            of_pixels = synthesise(torch.bmm(of_products, responses).view(len(functions), *pixels[2:]), before)
        if own[0] == 1:
            of_own = of_responses.flatten(0, 1).mT @ functions.flatten(0, 1)
        else:
            of_own = torch.bmm(of_responses.permute(1, 2, 0), functions.transpose(0, 1))
        return of_pixels, of_own.view(own), None, None, None, None


def _combined(functions: Tensor, own: Tensor) -> Tensor:
    """Transforms of functions, (F, S, J), and (1 or S, O*C, J) -> those of the filters, (F, S, O*C)."""
    if len(own) == 1:
        return (functions.flatten(0, 1) @ own[0].mT).view(*functions.shape[:2], -1)
    result = functions.new_empty(*functions.shape[:2], own.shape[1])
    torch.bmm(functions.transpose(0, 1), own.mT, out=result.transpose(0, 1))
    return result
