"""How maps lie in memory. Seen from outside they are (N, C, H, W), or (N, C, S, H, W) with a scale axis.

In HWNC layout, (H, W, N, C), what treats every image and channel alike (transforms along an axis, pooling, maxima over scales)
works on long contiguous rows. To torch it is no known memory format, so some of its operations would copy such maps; those here
do not, and are torch's own in any other layout. Scales lie outermost in memory, so folding them into the batch copies nothing.

Shape letters: N batch, C channels, S scales, H, W map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Convolutions of so many channels give results in HWNC layout: all those of the CPU (cpu/), and those in tiles (conv/tiles.py).
WIDE = 128


def in_full_precision(maps: Tensor) -> bool:
    """Whether maps are computed with in float32 or float64, which alone have Fourier transforms and Winograd's filtering here.

    Half precision means tensor cores (or AVX-512 bf16): torch's convolution is theirs, and complex halves do not exist.
    """
    return maps.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(maps.device.type)


def to_hwnc(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (H, W, N, C), copied only where N and C do not lie together in memory already."""
    if lies_together(maps):
        return maps.permute(2, 3, 0, 1)
    copied: Tensor = _ToHWNC.apply(maps)
    return copied


def lies_together(maps: Tensor) -> bool:
    """Whether a pixel's values, all images' all channels, lie together in memory, wherever the pixels lie."""
    n, c = maps.stride()[:2]
    return c == 1 and (n == maps.shape[1] or len(maps) == 1)


class _ToHWNC(torch.autograd.Function):
    """The copy; gradients go back in the layout that the maps had, which is the one that torch's operations on these want."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
        return maps.permute(2, 3, 0, 1).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        layout = torch.channels_last if ctx.last else torch.contiguous_format
        return gradients[0].permute(2, 3, 0, 1).contiguous(memory_format=layout)


def from_hwnc(pixels: Tensor) -> Tensor:
    """The view (N, C, H, W) of (H, W, N, C)."""
    return pixels.permute(2, 3, 0, 1)


def is_hwnc(maps: Tensor) -> bool:
    """Whether maps are (N, C, H, W) that lie in memory as (H, W, N, C)."""
    return maps.ndim == 4 and not maps.is_contiguous() and maps.permute(2, 3, 0, 1).is_contiguous()


def concatenate(maps: Sequence[Tensor], dim: int) -> Tensor:
    """As `torch.cat(maps, dim)` along images or channels, in the layout of the maps."""
    if all(lies_together(one) for one in maps):
        return from_hwnc(torch.cat([to_hwnc(one) for one in maps], dim=dim + 2))
    return torch.cat(list(maps), dim=dim)


def with_pixels_as_images(operation: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """`operation(maps)`, if it does not ask which pixel is whose, for maps in HWNC layout: (N, C, H, W) to the same."""
    pixels = to_hwnc(maps)
    return from_hwnc(operation(pixels.flatten(0, 2)[..., None, None]).view(pixels.shape))


def fold_scales(maps: Tensor) -> Tensor:
    """(N, C, S, H, W) -> (S*N, C, H, W)."""
    return maps.permute(2, 0, 1, 3, 4).flatten(0, 1)


def unfold_scales(maps: Tensor, scales: int) -> Tensor:
    """(S*N, C, H, W) -> (N, C, S, H, W), scales outermost in memory."""
    by_scale: Tensor = maps.unflatten(0, (scales, -1))
    return by_scale.permute(1, 2, 0, 3, 4)
