"""Every method's layers once more, as plainly as the papers and the published code write them: large zero-padded filters, maps
resized with torch's interpolation, torch's own convolution. Slow.

The tests hold the fast layers to these, and benchmarks/step.py measures what the fast ones save. Nothing else uses them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, singledispatch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.differential_invariants import InvariantConv, PdeStep
from models.dss import BASE, DilatedScaleConv, GaussianLifting
from models.layers.cpu.dropout import Dropout
from models.layers.gaussian_derivatives import Functions, kernels
from models.layers.plain import Pooled, SameConv2d
from models.layers.steerable import LiftingConv, ScaleConv
from models.mnist_net import MnistNet
from models.sesn import hermite_function, support_sizes
from models.sesn_learned import LearnedFilters
from models.sevf import ImageToLengthConv, ImageToVectorConv, VectorConv
from models.si_convnet import ScaleInvariantConv
from models.sicnn import ColumnConv, OneColumn, bank_size
from models.ss_cnn import SteerableConv
from models.wide_resnet import Block


@contextmanager
def plain_layers(network: nn.Module) -> Iterator[None]:
    """Within, the layers of a network run in their plain form."""
    changed = [module for module in network.modules() if plain.dispatch(type(module)) is not plain.dispatch(object)]
    for module in changed:
        module.forward = partial(plain, module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


@singledispatch
def plain(layer: nn.Module, maps: Tensor) -> Tensor:
    """What layer(maps) is, the slow way. Raises TypeError: a layer without a plain form here."""
    raise TypeError(f"{type(layer).__name__} has no plain form")


def _padded(filters: Tensor, size: int) -> Tensor:
    return F.pad(filters, [(size - filters.shape[-1]) // 2] * 4)


@plain.register
def _(layer: MnistNet, maps: Tensor) -> Tensor:
    for module in layer:
        maps = module(maps)
    return maps


@plain.register
def _(layer: Block, maps: Tensor) -> Tensor:
    active = F.relu(layer.norm1(maps))
    beside = maps if layer.shortcut is None else layer.shortcut(active)
    result = F.relu(layer.norm2(layer.convolution1(active)))
    return torch.add(beside, layer.convolution2(layer.dropout(result)))


@plain.register
def _(layer: Dropout, maps: Tensor) -> Tensor:
    return nn.Dropout.forward(layer, maps)


@plain.register
def _(layer: Pooled, maps: Tensor) -> Tensor:
    responses = layer.layer(maps)
    return torch.stack([layer.pool(response) for response in responses.unbind(2)], dim=2)


@plain.register
def _(layer: SameConv2d, maps: Tensor) -> Tensor:
    return nn.Conv2d.forward(layer, maps)


@plain.register
def _(layer: LiftingConv, maps: Tensor) -> Tensor:
    bank = _full_size(layer)  # (S, O, C, K, K)
    responses = F.conv2d(maps, bank.flatten(0, 1), stride=layer.stride, padding=bank.shape[-1] // 2)
    return _scales_of(layer, responses.unflatten(1, (len(bank), -1)).transpose(1, 2))


@plain.register
def _(layer: ScaleConv, maps: Tensor) -> Tensor:
    bank, scales = _full_size(layer), maps.shape[2]  # (S, O, C, L, K, K)
    responses: list[Tensor] = []
    for j in range(bank.shape[3]):
        shifted = F.pad(maps[:, :, j:], (0, 0, 0, 0, 0, min(j, scales))).transpose(1, 2).flatten(1, 2)
        filters = bank[:, :, :, j].flatten(0, 1)
        responses.append(F.conv2d(shifted, filters, stride=layer.stride, padding=bank.shape[-1] // 2, groups=scales))
    return _scales_of(layer, torch.stack(responses).sum(dim=0).unflatten(1, (scales, -1)).transpose(1, 2))


def _full_size(layer: LiftingConv | ScaleConv) -> Tensor:
    """The filters of all scales, zeros between dilated taps and around them: (S, ..., K, K)."""
    dense = []
    for filters, dilation in zip(layer.filters(layer.weight), layer.filters.dilations, strict=True):
        size = dilation * (filters.shape[-1] - 1) + 1
        dense.append(filters.new_zeros(*filters.shape[:-2], size, size))
        dense[-1][..., ::dilation, ::dilation] = filters
    return torch.stack([_padded(filters, max(one.shape[-1] for one in dense)) for filters in dense])


@plain.register  # type: ignore[arg-type]  # not a layer: weights to the filters at each scale
def _(filters: LearnedFilters, weight: Tensor) -> list[Tensor]:
    scales = filters.learned()
    sigmas, raw = scales.tolist(), []
    size = max(3, 2 * math.ceil(filters.support * max(sigmas)) + 1)
    for scale, k in zip(scales, support_sizes(size, sigmas), strict=True):
        factors = [[hermite_function(n, scale / divisor, k) for n in (p, q)] for p, q, divisor in filters.orders]
        raw.append(torch.stack([torch.outer(along_rows, along_columns) for along_rows, along_columns in factors]))
    norms = raw[0].flatten(1).norm(dim=1)[:, None, None]
    return [torch.tensordot(weight, (functions / norms).to(weight.dtype), dims=1) for functions in raw]


def _scales_of(layer: LiftingConv | ScaleConv, responses: Tensor) -> Tensor:
    if layer.bias is not None:
        responses = responses + layer.bias[:, None, None, None]
    return responses.max(dim=2).values if layer.project else responses


@plain.register
def _(layer: ColumnConv, maps: Tensor) -> Tensor:
    size = bank_size(layer.weight.shape[-1], layer.filters.scales)
    bank = torch.cat([_padded(filters, size) for filters in layer.filters(layer.weight)])
    groups = 1 if layer.lifting else layer.columns
    return F.conv2d(maps, bank, stride=layer.stride, padding=size // 2, groups=groups)


@plain.register
def _(layer: OneColumn, maps: Tensor) -> Tensor:
    shared = layer.shared
    size = bank_size(shared.weight.shape[-1], shared.filters.scales)
    filters = _padded(shared.filters.of_column(layer.s, shared.weight), size)
    return F.conv2d(maps, filters, stride=shared.stride, padding=size // 2)


@plain.register
def _(layer: ScaleInvariantConv, maps: Tensor) -> Tensor:
    responses = []
    for scale in layer.scales:
        seen = maps if scale == 1 else _rescaled(maps, scale)
        response = F.conv2d(seen, layer.weight, layer.bias, stride=layer.stride, padding=layer.weight.shape[-1] // 2)
        responses.append(response if scale == 1 else _rescaled(response, 1 / scale))
    return torch.stack(responses).max(dim=0).values


def _rescaled(maps: Tensor, scale: float) -> Tensor:
    """D_z of si_convnet.py: resize with aligned corners, pad or crop to the size it had."""
    height, width = maps.shape[2:]
    size = [math.floor(extent * scale) for extent in (height, width)]
    resized = F.interpolate(maps, size, mode="bilinear", align_corners=True)
    top, left = (math.floor((extent - new) / 2) for extent, new in zip((height, width), size, strict=True))
    return F.pad(resized, (left, width - size[1] - left, top, height - size[0] - top))


@plain.register
def _(layer: ImageToLengthConv, maps: Tensor) -> Tensor:
    responses = [resized(maps, layer.weight, factor, layer.stride) for factor in layer.factors]
    return torch.stack(responses).max(dim=0).values.relu()


@plain.register
def _(layer: ImageToVectorConv, maps: Tensor) -> Tensor:
    return _vectors([resized(maps, layer.weight, factor, layer.stride) for factor in layer.factors], layer.angles)


@plain.register
def _(layer: VectorConv, maps: Tensor) -> Tensor:
    u, v = maps.unbind(1)
    responses = []
    for factor, angle in zip(layer.factors, layer.angles, strict=True):
        cos, sin = math.cos(layer.sign * angle), math.sin(layer.sign * angle)
        a, b = layer.a * cos - layer.b * sin, layer.a * sin + layer.b * cos
        responses.append(resized(u, a, factor, layer.stride) + resized(v, b, factor, layer.stride))
    return _vectors(responses, layer.angles)


def resized(maps: Tensor, weight: Tensor, factor: float, stride: int) -> Tensor:
    """T_z of sevf.py: resize to round(H z), convolve, resize to floor(H / stride)."""
    height, width = maps.shape[2:]
    seen = F.interpolate(maps, [round(extent * factor) for extent in (height, width)], mode="bilinear", align_corners=False)
    response = F.conv2d(seen, weight, stride=stride, padding=weight.shape[-1] // 2)
    return F.interpolate(response, [height // stride, width // stride], mode="bilinear", align_corners=False)


def _vectors(responses: list[Tensor], angles: tuple[float, ...]) -> Tensor:
    largest, level = torch.stack(responses).max(dim=0)
    angle = torch.tensor(angles, dtype=largest.dtype, device=largest.device)[level]
    return torch.stack([largest.relu() * angle.cos(), largest.relu() * angle.sin()], dim=1)


@plain.register
def _(layer: SteerableConv, maps: Tensor) -> Tensor:
    filters = layer.filters()
    responses = [F.conv2d(maps, k, stride=layer.stride, padding=k.shape[-1] // 2) for k in filters]
    largest = torch.stack(responses).max(dim=0).values
    return largest.relu() if layer.relu else largest


@plain.register
def _(layer: DilatedScaleConv, maps: Tensor) -> Tensor:
    radius, outputs = layer.weight.shape[-1] // 2, []
    for s in range(layer.scales):
        terms = [
            F.conv2d(maps[:, :, s + i], w, stride=layer.stride, dilation=BASE**s, padding=BASE**s * radius)
            for i, w in enumerate(layer.weight.unbind(2))
            if s + i < layer.scales
        ]
        outputs.append(torch.stack(terms).sum(dim=0))
    stacked = torch.stack(outputs, dim=2)
    return stacked.max(dim=2).values if layer.project else stacked


@plain.register
def _(layer: GaussianLifting, maps: Tensor) -> Tensor:
    channels, levels = maps.shape[1], [maps]
    for taps in layer.kernels:
        kernel = torch.tensor(taps, dtype=torch.float64).to(maps).expand(channels, 1, 1, -1)
        radius = kernel.shape[-1] // 2
        along_width = F.conv2d(maps, kernel, groups=channels, padding=(0, radius))
        levels.append(F.conv2d(along_width, kernel.mT, groups=channels, padding=(radius, 0)))
    return torch.stack(levels, dim=2)


@plain.register
def _(layer: InvariantConv, maps: Tensor) -> Tensor:
    copies = layer.in_features // 6 // maps.shape[1]
    return F.conv2d(invariants(maps.repeat(1, copies, 1, 1), layer.functions), layer.weight[..., None, None], layer.bias)


def invariants(maps: Tensor, functions: Functions) -> Tensor:
    """(N, C, H, W) -> (N, 6C, H, W): u and its derivatives, each order divided by its largest magnitude, by 1 if that is 0."""
    channels = maps.shape[1]
    filters = kernels(functions).to(maps).unsqueeze(1)
    kr, kc, krr, kcc = (kernel.expand(channels, -1, -1, -1) for kernel in filters)
    r, c, rr, cc = (F.conv2d(maps, kernel, padding=3, groups=channels) for kernel in (kr, kc, krr, kcc))
    rc = F.conv2d(c, kr, padding=3, groups=channels)
    orders = maps, torch.cat([r, c], dim=1), torch.cat([rr, rc, cc], dim=1)
    largest = [order.flatten(1).abs().max(dim=1).values[:, None, None, None] for order in orders]
    return torch.cat([order / torch.where(m == 0, 1, m) for order, m in zip(orders, largest, strict=True)], dim=1)


@plain.register
def _(layer: PdeStep, u: Tensor, tau: Tensor) -> Tensor:
    hidden = F.relu(layer.norm1(layer.invariants(u)))
    v = layer.norm2(F.conv2d(hidden, layer.second.weight[..., None, None], layer.second.bias))
    return F.relu(u + tau * v)
