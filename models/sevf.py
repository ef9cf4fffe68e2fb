"""SEVF: scale equivariance with vector fields.

Marcos, Kellenberger, Lobry, Tuia, "Scale equivariance in CNNs with vector fields", FAIM/ICML workshop 2018, arXiv 1807.11783.

Each layer convolves its input at several sizes with the same filters and keeps, at each pixel, the largest response and the
angle that stands for the size it came from: a field of 2-vectors (u, v). The *scalar* network passes on only the lengths, the
*vector* network convolves the vectors, turning the filters with the size.

Shape letters: N batch, C channels in, O channels out, k filter size, H, W map. Vector fields are (N, 2, C, H, W), u then v.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.conv.resampled import laid_out, resampled_conv2d
from models.layers.conv.resampled_axis import ResampledAxis, levels_pay
from models.layers.conv.resampled_levels import Level, convolve_levels
from models.layers.conv.same import same_conv2d
from models.layers.conv.separable import functions_of, values_of
from models.layers.launches import few_launches
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.resampling import bilinear
from models.layers.scale_axis import largest_response
from models.mnist_net import CHANNELS, UPSAMPLE, convolutional_head, mnist_net, stage_pools
from models.registry import register

# --------------------------------------------------------------------------------------------------------------- levels

SMALLER, LARGER = 4, 3  # levels below and above the input's own size
STEP = 1.26
LEVELS = range(-SMALLER, LARGER + 1)
FACTORS = tuple(STEP**level for level in LEVELS)
ANGLES = tuple(level * (2 * math.pi / 3) / (SMALLER + LARGER) for level in LEVELS)


@lru_cache(maxsize=1024)
def resized_axis(extent: int, factor: float, taps: int, stride: int) -> ResampledAxis:
    """One axis of: resize to round(H z) pixels, convolve, resize to floor(H / stride). Half-pixel centres."""
    resized = round(extent * factor)
    before = bilinear(extent, resized, align_corners=False)
    after = bilinear(math.ceil(resized / stride), extent // stride, align_corners=False)
    return ResampledAxis(before, after, taps, stride)


# --------------------------------------------------------------------------------------------------------------- layers


class _LargestResponse(nn.Module):
    """From the responses of all levels to the vector field: length ReLU(max), angle that of the first largest."""

    def __init__(self, factors: Sequence[float], angles: Sequence[float], stride: int) -> None:
        super().__init__()
        self.factors, self.angles, self.stride = tuple(factors), tuple(angles), stride
        table = torch.tensor(angles, dtype=torch.float64)
        self.directions = functions_of(torch.stack([table.cos(), table.sin()]))

    def responses(self, maps: Tensor, filters: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        """Each level's (N, O, H', W'), or all of them, (N, O, S, H', W').

        From maps (N, C, H, W) and filters (O, C, k, k), or each level's own, stacked or not.
        """
        each = [filters] * len(self.factors) if isinstance(filters, Tensor) and filters.ndim == 4 else list(filters)
        axes = [self._axes(maps, factor, each[0].shape[-1]) for factor in self.factors]
        if few_launches(maps) and isinstance(filters, Tensor) and levels_pay(maps, len(each[0]), axes):
            (height, width), levels = axes[0], [Level(*both) for both in axes]
            return convolve_levels(maps, filters, levels, (height.extent_out, width.extent_out))
        seen = laid_out(maps, each[0], axes)
        return [self._response(seen, weight, factor) for weight, factor in zip(each, self.factors, strict=True)]

    def _response(self, maps: Tensor, weight: Tensor, factor: float) -> Tensor:
        if factor == 1 and self.stride == 1:
            return same_conv2d(maps, weight)
        return resampled_conv2d(maps, weight, *self._axes(maps, factor, weight.shape[-1]))

    def _axes(self, maps: Tensor, factor: float, taps: int) -> tuple[ResampledAxis, ResampledAxis]:
        height, width = maps.shape[2:]
        return resized_axis(height, factor, taps, self.stride), resized_axis(width, factor, taps, self.stride)

    def vectors(self, responses: Tensor | Sequence[Tensor]) -> Tensor:
        """S maps (N, O, H, W), stacked or not -> (N, 2, O, H, W)."""
        largest, level = (chosen.contiguous() for chosen in largest_response(responses, unpooled))
        directions = values_of(self.directions, largest.dtype, largest.device)[:, level.long()]
        return F.relu(largest)[:, None] * directions.transpose(0, 1)


class ImageToVectorConv(_LargestResponse):
    """The convolution of an image: (N, C, H, W) -> vectors (N, 2, O, H', W'), the largest response of all sizes and its angle.

    Weight (O, C, k, k), no bias.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        factors: Sequence[float] = FACTORS,
        angles: Sequence[float] = ANGLES,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__(factors, angles, stride)
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, size, size))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, maps: Tensor) -> Tensor:
        return self.vectors(self.responses(maps, self.weight))


class ImageToLengthConv(ImageToVectorConv, PoolingLayer):
    """The lengths alone of `ImageToVectorConv`'s vectors: (N, C, H, W) -> (N, O, H', W').

    cos^2 + sin^2 = 1, so the length is the rectified largest response and no angle is needed.
    """

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        return F.relu(largest_response(self.responses(maps, self.weight), pool)[0])


class VectorConv(_LargestResponse):
    """The convolution of a vector field: (N, 2, C, H, W) -> (N, 2, O, H', W'). Weights `a`, `b` (O, C, k, k), no bias.

    The filter vectors (a, b) turn with the level, by -theta in the published code ("reference"). Enlarging the map by one level
    turns its vectors by +theta, so "corrected" turns the filters by +theta.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        factors: Sequence[float] = FACTORS,
        angles: Sequence[float] = ANGLES,
        *,
        stride: int = 1,
        sign: str = "reference",
    ) -> None:
        super().__init__(factors, angles, stride)
        self.sign = -1 if sign == "reference" else 1
        self.a = nn.Parameter(torch.empty(channels_out, channels_in, size, size))
        self.b = nn.Parameter(torch.empty(channels_out, channels_in, size, size))
        for weight in (self.a, self.b):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, vectors: Tensor) -> Tensor:
        """Convolve at every size with the filters turned; keep the largest response and its angle."""
        maps, angles = vectors.flatten(1, 2), [self.sign * angle for angle in self.angles]
        return self.vectors(
            self.responses(maps, self._all_turned(angles) if few_launches(maps) else [self._turned(angle) for angle in angles])
        )

    def _turned(self, angle: float) -> Tensor:
        """The filter vectors turned by an angle: (O, 2C, k, k), as the channels of a flattened field."""
        cos, sin = math.cos(angle), math.sin(angle)
        return torch.cat([self.a * cos - self.b * sin, self.a * sin + self.b * cos], dim=1)

    def _all_turned(self, angles: Sequence[float]) -> Tensor:
        """The same for each of S angles, by one product: (S, O, 2C, k, k)."""
        turns = tuple(row for t in angles for row in ((math.cos(t), -math.sin(t)), (math.sin(t), math.cos(t))))
        turned = values_of(turns, self.a.dtype, self.a.device) @ torch.stack([self.a, self.b]).flatten(1)
        return turned.view(len(angles), 2, *self.a.shape).transpose(1, 2).flatten(2, 3)


class Length(nn.Module):
    """The length of each vector: (N, 2, C, H, W) -> (N, C, H, W). Its gradient at a zero vector is zero."""

    def forward(self, vectors: Tensor) -> Tensor:
        return length(vectors)


def length(vectors: Tensor) -> Tensor:
    """sqrt(u^2 + v^2) over axis 1, with gradient zero at zero vectors."""
    result: Tensor = _Length.apply(vectors)
    return result


class _Length(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        lengths = vectors.square().sum(dim=1).sqrt_()
        ctx.save_for_backward(vectors, lengths)
        return lengths

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        vectors, lengths = ctx.saved_tensors
        slope = (gradients[0] / lengths).masked_fill_(lengths == 0, 0)
        return torch.mul(vectors, slope[:, None])


class VectorMaxPool(nn.Module):
    """The longest vector of each window: (N, 2, C, H, W) -> (N, 2, C, H', W'), windows as `pool`'s."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, vectors: Tensor) -> Tensor:
        windows = self.pool.kernel_size, self.pool.stride, self.pool.padding
        result: Tensor = _LongestOfWindow.apply(vectors, *windows)
        return result


class _LongestOfWindow(torch.autograd.Function):
    """The backward pass is max pooling's. That of `gather` would add in any order, or sort all places first."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, size: int, stride: int, padding: int) -> Tensor:
        lengths = vectors.square().sum(dim=1)
        _, places = F.max_pool2d(lengths, size, stride, padding, return_indices=True)
        both = places[:, None].expand(-1, 2, -1, -1, -1)
        ctx.save_for_backward(vectors, places)
        ctx.windows = size, stride, padding
        return vectors.flatten(3).gather(3, both.flatten(3)).view(both.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        vectors, places = ctx.saved_tensors
        both = places[:, None].expand(-1, 2, -1, -1, -1).flatten(1, 2)
        size, stride, padding = ([pixels, pixels] for pixels in ctx.windows)
        of_vectors = torch.ops.aten.max_pool2d_with_indices_backward(
            gradients[0].flatten(1, 2), vectors.flatten(1, 2), size, stride, padding, [1, 1], False, both
        )
        return of_vectors.view(vectors.shape), None, None, None


class VectorBatchNorm(nn.Module):
    """Divide vectors by the standard deviation of their lengths, per channel: (N, 2, C, H, W) -> same.

    Statistics over batch and pixels; no centring, no scale. As published the running variance has momentum 0.5, and a weight of
    C ones, here `unused`, is a parameter without any effect.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.5) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.unused = nn.Parameter(torch.ones(channels))
        self.running_var: Tensor
        self.register_buffer("running_var", torch.ones(1, channels, 1, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Normalise; in training mode update the running variance."""
        variance = self.running_var
        if self.training:
            lengths = length(vectors)
            variance = lengths.var(dim=(0, 2, 3), correction=0, keepdim=True)
            count = lengths.numel() // lengths.shape[1]
            with torch.no_grad():
                self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), self.momentum)
        return vectors / (variance + self.eps).sqrt()


# ------------------------------------------------------------------------------------------------------------- networks

VECTOR_CHANNELS = (23, 45, 68)
VECTOR_OPTIONS = {"sign": {"mnist-scale-*": ("reference", "corrected")}, **UPSAMPLE}


@register("sevf-scalar", tasks="mnist-scale-*", paper="Marcos et al. 2018, arXiv 1807.11783", options=UPSAMPLE)
def sevf_scalar(task: str, upsample: str = "nearest") -> nn.Module:
    """494,425 parameters: lengths pass from layer to layer."""
    first, second, third = CHANNELS
    pool_1, pool_2, pool_3 = stage_pools(task)
    body: list[nn.Module] = [
        *[ImageToLengthConv(1, first, 7), pool_1, BatchNorm2d(first)],
        *[ImageToLengthConv(first, second, 7), pool_2, BatchNorm2d(second)],
        *[ImageToLengthConv(second, third, 7), pool_3],
    ]
    return mnist_net(task, body, convolutional_head(4 * third), upsample)


@register("sevf-vector", tasks="mnist-scale-*", paper="Marcos et al. 2018, arXiv 1807.11783", options=VECTOR_OPTIONS)
def sevf_vector(task: str, sign: str = "reference", upsample: str = "nearest") -> nn.Module:
    """475,475 parameters, of which 68 influence nothing: vectors pass from layer to layer, their lengths to the head."""
    first, second, third = VECTOR_CHANNELS
    pool_1, pool_2, pool_3 = (VectorMaxPool(pool) for pool in stage_pools(task))
    body: list[nn.Module] = [
        *[ImageToVectorConv(1, first, 7), pool_1, VectorBatchNorm(first)],
        *[VectorConv(first, second, 7, sign=sign), pool_2, VectorBatchNorm(second)],
        *[VectorConv(second, third, 7, sign=sign), pool_3, Length()],
    ]
    return mnist_net(task, body, convolutional_head(4 * third), upsample)
