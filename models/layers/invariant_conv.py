"""A 1 x 1 convolution of differential invariants, which keeps no more than its maps for the backward pass.

The invariants of a map u of C channels are the quotients of u and its five derivatives and of the largest magnitude that the
derivatives of one order have in an image: 6C channels, f_k / m. They are made for a few images at a time, which the processor's
cache holds, and used at once. Backwards they are not made again: derivatives act on pixels and the convolution on channels, so
either may come first,

    y = sum_k (D_k u / m) W_k,    gradient of W_k = (u / m)^T (D_k^T g),    gradient of u = sum_k (D_k^T g) W_k^T / m + ...,

and the five transposed derivatives of the gradient g serve both. The maxima's part, "...", is one pixel's filter per image and
order: y is homogeneous in each m, so the derivative by m is that sum times u, over -m.

Pixels are (N, H, W, C), channels innermost. Shape letters: N batch, C channels in, O channels out, H, W map, F = 6 derivatives,
u the first; G = 3 orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.gaussian_derivatives import (
    FUNCTIONS,
    Functions,
    derivatives,
    in_onednn,
    matrices,
    transposed_derivatives,
)

GROUPS = (slice(0, 1), slice(1, 3), slice(3, 6))  # the derivatives of each order
IN_CACHE = 2**18  # values of one map that are worked on at a time on a CPU: of 2^16 .. 2^20 the fastest as measured


def invariant_conv(pixels: Tensor, weight: Tensor, bias: Tensor, functions: Functions) -> Tensor:
    """Pixels (N, H, W, C), weight (O, 6C), bias (O,) -> (N, H, W, O).

    The quotient of an order whose derivatives are all zero is zero. The gradient of a maximum goes to the first place that
    attains it, in the order derivative, row, column, channel, and of none where it is zero. In full precision also under
    autocast: a quotient's derivatives are differences of neighbours.
    """
    if torch.is_autocast_enabled(kind := pixels.device.type):
        with torch.autocast(kind, enabled=False):
            return _convolved(pixels.float(), weight.float(), bias.float(), functions)
    return _convolved(pixels, weight, bias, functions)


def _convolved(pixels: Tensor, weight: Tensor, bias: Tensor, functions: Functions) -> Tensor:
    result: Tensor = _InvariantConv.apply(pixels.contiguous(), weight, bias, functions)
    return result


def pixel_conv(pixels: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """1 x 1 convolution: pixels (N, H, W, C), weight (O, C), bias (O,) -> (N, H, W, O)."""
    if in_onednn(pixels):  # whose convolution is up to one and a half times as fast as a matrix product of so few columns
        rows = pixels.flatten(0, 1)[:, None].permute(0, 3, 1, 2)  # as images: of fewer than 16 torch takes another way
        return F.conv2d(rows, weight[:, :, None, None], bias).permute(0, 2, 3, 1).view(*pixels.shape[:3], -1)
    return F.linear(pixels, weight, bias)


def largest_magnitudes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Of u and its derivatives, (N, H, W, F, C): the maxima of each order, (N, G), and where: k*H*W + h*W + w, the first."""
    each = torch.maximum(maps.amax(dim=4), maps.amin(dim=4).neg_()).movedim(3, 1)  # (N, F, H, W)
    found = [each[:, group].flatten(1).max(dim=1) for group in GROUPS]
    places = [place + group.start * each[0, 0].numel() for (_, place), group in zip(found, GROUPS, strict=True)]
    return torch.stack([value for value, _ in found], dim=1), torch.stack(places, dim=1)


def with_derivatives(pixels: Tensor, functions: Functions) -> Tensor:
    """u (N, H, W, C) and its derivatives: (N, H, W, F, C)."""
    return torch.stack([pixels, *derivatives(pixels, functions)], dim=3)


def reciprocals(largest: Tensor) -> Tensor:
    """Of the maxima m (N, G), what u and its derivatives are multiplied by: 1 / m, 1 where m is 0; (N, 1, 1, F, 1)."""
    u, first, second = torch.where(largest == 0, 1.0, largest).reciprocal().unbind(1)
    return torch.stack([u, first, first, second, second, second], dim=1)[:, None, None, :, None]


def _parts(pixels: Tensor) -> Iterator[slice]:
    """Images that are worked on together: few on a CPU, all on a GPU, where launches cost more than memory."""
    step = len(pixels) if pixels.device.type != "cpu" else max(1, IN_CACHE // pixels[0].numel())
    return (slice(first, first + step) for first in range(0, len(pixels), step))


class _InvariantConv(torch.autograd.Function):
    """(N, H, W, C), (O, 6C) and (O,) -> (N, H, W, O)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, bias: Tensor, functions: Functions) -> Tensor:
        responses, found = [], []
        for part in _parts(pixels):
            maps = with_derivatives(pixels[part], functions)
            found.append(largest_magnitudes(maps))
            maps *= reciprocals(found[-1][0])
            responses.append(pixel_conv(maps.flatten(3), weight, bias))
        largest, places = (torch.cat(values) for values in zip(*found, strict=True))
        ctx.save_for_backward(pixels, weight, largest, places)
        ctx.functions = functions
        return _together(responses)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        pixels, weight, largest, places = ctx.saved_tensors
        gradient, factors = gradients[0].contiguous(), reciprocals(largest)
        of_bias = gradient.sum(dim=(0, 1, 2))
        if not ctx.needs_input_grad[0]:
            return None, _of_weight(pixels, gradient, factors, ctx.functions), of_bias, None
        by_output = weight.unflatten(1, (FUNCTIONS, -1)).permute(2, 1, 0).flatten(1).contiguous()  # (C, 6*O)
        of_weight, shares, of_pixels = torch.zeros_like(by_output), [], []
        for part in _parts(pixels):
            maps = [gradient[part], *transposed_derivatives(gradient[part], ctx.functions)]
            turned = torch.stack(maps, dim=3).mul_(factors[part]).flatten(3)
            of_pixels.append(pixel_conv(turned, by_output))
            of_weights = torch.bmm(pixels[part].flatten(1, 2).mT, turned.flatten(1, 2))  # each image's (C, 6*O)
            of_weight += of_weights.sum(dim=0)
            shares.append(of_weights.mul_(by_output).unflatten(2, (FUNCTIONS, -1)).sum(dim=(1, 3)))
        result, each = _together(of_pixels), _together(shares)
        products = torch.stack([each[:, group].sum(dim=1) for group in GROUPS], dim=1)  # of the gradient without maxima, and u
        of_maxima = torch.where(largest == 0, 0.0, -products / largest)
        _add_maxima(result, pixels, places, of_maxima, ctx.functions)
        return result, of_weight.unflatten(1, (FUNCTIONS, -1)).permute(2, 1, 0).flatten(1), of_bias, None


def _of_weight(pixels: Tensor, gradient: Tensor, factors: Tensor, functions: Functions) -> Tensor:
    """The weight's gradient alone, (O, 6C): the quotients are made once more, which for images of one channel is little."""
    result = pixels.new_zeros(gradient.shape[3], FUNCTIONS * pixels.shape[3])
    for part in _parts(pixels):
        quotients = with_derivatives(pixels[part], functions).mul_(factors[part])
        result.addmm_(gradient[part].flatten(0, 2).mT, quotients.flatten(3).flatten(0, 2))
    return result


def _together(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _add_maxima(of_pixels: Tensor, pixels: Tensor, places: Tensor, of_maxima: Tensor, functions: Functions) -> None:
    """Add the gradient by way of the maxima, `of_maxima` (N, G), to that of the pixels."""
    height, width, channels = pixels.shape[1:]
    down, along = matrices(functions, (height, width), pixels.dtype, pixels.device)
    k, place = places // (height * width), places % (height * width)
    rows, columns = down[k, place // width], along[k, place % width]  # (N, G, H), (N, G, W)
    filters = (rows[..., None] * columns[..., None, :]).flatten(2)  # what the maximum is made of: (N, G, H*W)
    values = torch.bmm(filters, pixels.flatten(1, 2))  # (N, G, C) there
    channel = values.abs().max(dim=2, keepdim=True).indices
    weights = (
        values.gather(2, channel).sign() * of_maxima[..., None] * (channel == torch.arange(channels, device=pixels.device))
    )
    of_pixels.view(len(pixels), height * width, channels).baddbmm_(filters.mT, weights)
