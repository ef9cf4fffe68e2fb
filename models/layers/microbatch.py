"""A batch sent through the network in parts, with the update of the whole batch: less memory for more time.

Between two batch normalisations the images of a batch do not meet. What lies between is computed for one part of the batch
after the other, is not kept for the backward pass and is computed again there (checkpointing: Chen et al. 2016, arXiv
1604.06174). Only the maps in front of each normalisation are kept. Statistics are those of the whole batch, gradients through
them included, so the result is that of the unsplit batch up to rounding; mere gradient accumulation, in which every part has
statistics of its own, trains another network.

Shape letters: N batch, C channels; maps are (N, C, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.layers.layout import concatenate
from models.layers.scale_axis import stack_scales


def normalised_in_parts(
    norm: nn.Module, maps: Tensor, parts: int, rest: Callable[..., tuple[Tensor, ...]], *beside: Tensor
) -> tuple[Tensor, ...]:
    """What `rest(norm(maps), *beside)` gives in training mode, computed for one of `parts` parts of the batch at a time.

    `rest` treats the images of a batch one by one and draws no random numbers. Updates the running statistics of `norm`.
    Raises TypeError: `norm` is not a batch normalisation with running statistics.
    """
    if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_mean is None or norm.momentum is None:
        raise TypeError(f"batches can be split around batch normalisation only, not around {type(norm).__name__}")
    mean, variance = _Statistics.apply(maps, parts)
    _update(norm, mean, variance, maps.numel() // maps.shape[1])

    def part(seen: Tensor, mean: Tensor, variance: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        centred = (seen.to(mean.dtype) - _along_channels(mean, seen)) * _along_channels((variance + norm.eps).rsqrt(), seen)
        if norm.affine:
            centred = centred * _along_channels(norm.weight, seen) + _along_channels(norm.bias, seen)
        return rest(centred.to(seen.dtype), *others)

    results = []
    for seen, *others in zip(maps.chunk(parts), *(tensor.chunk(parts) for tensor in beside), strict=True):
        results.append(checkpoint(part, seen, mean, variance, *others, use_reentrant=False, preserve_rng_state=False))
    return tuple(_joined(pieces) for pieces in zip(*results, strict=True))


def dropout_mask(maps: Tensor, dropout: nn.Dropout) -> Tensor:
    """What `dropout` keeps of maps of this shape and layout, one byte per element: the draw it would make itself."""
    kept: Tensor = dropout(torch.ones_like(maps))
    return kept != 0


def _along_channels(values: Tensor, maps: Tensor) -> Tensor:
    return values.view(-1, *[1] * (maps.ndim - 2))


def _joined(pieces: tuple[Tensor, ...]) -> Tensor:
    """Parts of a batch as one: (N, C, H, W), or (N, C, S, H, W) with a scale axis."""
    if pieces[0].ndim != 5:
        return concatenate(pieces, dim=0)
    by_scale = [concatenate(pieces, dim=0) for pieces in zip(*(piece.unbind(2) for piece in pieces), strict=True)]
    return stack_scales(by_scale)


@torch.no_grad()
def _update(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype) * (count / (count - 1)), norm.momentum)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)


class _Statistics(torch.autograd.Function):
    """Mean and biased variance of each channel, (C,) each, in at least float32. Keeps the maps only, whatever their type."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, parts: int) -> tuple[Tensor, Tensor]:
        kind = torch.promote_types(maps.dtype, torch.float32)
        axes = [axis for axis in range(maps.ndim) if axis != 1]
        count = maps.numel() // maps.shape[1]
        pieces = maps.chunk(parts)
        mean = torch.stack([piece.to(kind).sum(axes) for piece in pieces]).sum(0) / count
        squares = [(piece.to(kind) - _along_channels(mean, piece)).square_().sum(axes) for piece in pieces]
        ctx.save_for_backward(maps, mean)
        ctx.parts, ctx.count = parts, count
        return mean, torch.stack(squares).sum(0) / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        maps, mean = ctx.saved_tensors
        of_mean, of_variance = (gradient / ctx.count for gradient in gradients)
        pieces = []
        for piece in maps.chunk(ctx.parts):
            centred = piece.to(mean.dtype) - _along_channels(mean, piece)
            slope = centred.mul_(_along_channels(2 * of_variance, piece)).add_(_along_channels(of_mean, piece))
            pieces.append(slope.to(maps.dtype))
        return _joined(tuple(pieces)), None
