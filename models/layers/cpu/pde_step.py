"""What a step of InvarPDEs-Net does after its first convolution, in one: ReLU(u + tau BN(1 x 1 conv(ReLU(BN(z))))).

Done one after the other, five maps per step are kept for the backward pass; here it is two, z and the result, which is the next
step's u. The rest is made of them again, which is a twentieth of the operations. On a GPU it is torch's own operations.

Pixels are (N, H, W, C), channels innermost; z has O channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.layers.invariant_conv import pixel_conv


def in_one(norm: nn.BatchNorm2d, maps: Tensor) -> bool:
    """Whether it is possible: training on the CPU, outside autocast."""
    here = maps.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    return norm.training and here and maps.dtype == norm.weight.dtype


def updated(
    u: Tensor, responses: Tensor, norm1: nn.BatchNorm2d, convolution: nn.Linear, norm2: nn.BatchNorm2d, tau: Tensor
) -> Tensor:
    """u (N, C or 1, H, W) and z (N, O, H, W), channels last -> (N, C, H, W), channels last. Updates running statistics."""
    for norm in (norm1, norm2):
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
    parameters = norm1.weight, norm1.bias, convolution.weight, convolution.bias, norm2.weight, norm2.bias, tau
    pixels = (maps.permute(0, 2, 3, 1) for maps in (u, responses))
    result: Tensor = _Updated.apply(*pixels, *parameters, norm1, norm2)
    return result.permute(0, 3, 1, 2)


class _Updated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, z: Tensor, *given: Any) -> Tensor:
        *parameters, norm1, norm2 = given
        weight1, bias1, weight, bias, weight2, bias2, tau = parameters
        hidden, *statistics1 = _normalised(z, weight1, bias1, norm1)
        mixed = pixel_conv(hidden.relu_(), weight, bias)
        result, *statistics2 = _normalised(mixed, tau * weight2, tau * bias2, norm2)
        result.add_(u).relu_()
        ctx.save_for_backward(z, result, *parameters, *statistics1, *statistics2)
        ctx.eps, ctx.copies = (norm1.eps, norm2.eps), result.shape[3] // u.shape[3]
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, result, weight1, bias1, weight, bias, weight2, bias2, tau, mean1, inverse1, mean2, inverse2 = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], result, 0)
        factor = weight1 * inverse1
        hidden = torch.addcmul(bias1 - mean1 * factor, z, factor).relu_()
        mixed = pixel_conv(hidden, weight, bias)
        of_mixed, of_weight2, of_bias2 = _backward(passed, mixed, weight2, mean2, inverse2, ctx.eps[1])  # but for tau
        of_tau = (of_weight2 * weight2 + of_bias2 * bias2).sum()
        of_weight = of_mixed.flatten(0, 2).mT @ hidden.flatten(0, 2)
        of_hidden = pixel_conv(of_mixed, (tau * weight).mT.contiguous())
        of_hidden = torch.ops.aten.threshold_backward(of_hidden, hidden, 0)
        of_z, of_weight1, of_bias1 = _backward(of_hidden, z, weight1, mean1, inverse1, ctx.eps[0])
        of_others = (tau * of_weight, tau * of_mixed.sum(dim=(0, 1, 2)), tau * of_weight2, tau * of_bias2, of_tau)
        of_u = None
        if ctx.needs_input_grad[0]:
            of_u = passed if ctx.copies == 1 else passed.sum(dim=3, keepdim=True)
        return of_u, of_z, of_weight1, of_bias1, *of_others, None, None


def _normalised(pixels: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    running = norm.running_mean, norm.running_var
    result, mean, inverse = torch.native_batch_norm(
        pixels.flatten(0, 2), weight, bias, *running, True, norm.momentum or 0.0, norm.eps
    )
    return result.view(pixels.shape), mean, inverse


def _backward(
    gradient: Tensor, pixels: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    given = gradient.flatten(0, 2), pixels.flatten(0, 2), weight, None, None, mean, inverse, True, eps, [True] * 3
    of_pixels, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(*given)
    return of_pixels.view(pixels.shape), of_weight, of_bias
