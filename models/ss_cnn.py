"""SS-CNN: locally scale-invariant networks with scale-steerable filters.

Ghosh & Gupta, "Scale Steerable Filters for Locally Scale-Invariant Convolutional Neural Networks", 2019, arXiv 1906.03861.

Filters are combinations of log-radial harmonics: under an angular envelope, cosines and sines of k ln r. Changing a filter's
scale by s turns each pair of coefficients by the angle k ln s, which is what scale steerability means here. A layer convolves
with the same filter at several sizes and keeps the largest response.

Shape letters: N batch, C channels in, O channels out, Q orders, B = 9 orientations, M largest filter size, n filter size,
H, W map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.conv.fourier_bank import FilterBank
from models.layers.conv.same import same_conv2d_bank
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.scale_axis import largest_response
from models.mnist_net import UPSAMPLE, convolutional_head, image_size, mnist_net, stages
from models.registry import register
from models.wide_resnet import Parts, Place, Size, wide_resnet

# ---------------------------------------------------------------------------------------------------------------- basis

ORIENTATIONS = 9  # 0, pi/8, ..., pi: the envelope has period pi, so the last is the first again (as published)
ENVELOPE_WIDTH = math.pi / 16
PHASE = -math.pi / 4


def effective_orders(size: int, orders: Sequence[float]) -> list[float]:
    """k = 2 pi kappa / ln(r_max) for each order kappa, r_max the distance from the centre to the corner of the grid."""
    return [2 * math.pi * order / math.log(math.sqrt(2) * (size - 1) / 2) for order in orders]


def log_radial_harmonics(size: int, orders: Sequence[float], normalise: str = "separate") -> tuple[Tensor, Tensor]:
    """Real and imaginary parts on an odd grid of `size` pixels: two float64 (Q, M, M, B), zero outside the disc.

    `normalise`: "separate" divides each part by its own Frobenius norm, as published; "pair" divides both by their root mean
    square norm, which keeps the steering exact.
    """
    centre = (size - 1) / 2
    places = torch.arange(size, dtype=torch.float64) - centre
    up, right = -places[:, None, None], places[None, :, None]
    radius = torch.hypot(up, right)
    inside = radius <= centre
    angle = torch.atan2(right, up)
    orientations = torch.arange(ORIENTATIONS, dtype=torch.float64) * math.pi / 8
    distance = (angle - orientations).abs() % math.pi
    distance = torch.minimum(distance, math.pi - distance)
    radius = torch.where(radius == 0, 1.0, radius)
    envelope = torch.exp(-(distance**2) / (2 * ENVELOPE_WIDTH**2)) / radius * inside
    waves = torch.stack([k * radius.log() + PHASE for k in effective_orders(size, orders)])
    real, imaginary = envelope * waves.cos(), envelope * waves.sin()
    norms = [part.pow(2).sum(dim=(1, 2), keepdim=True).sqrt() for part in (real, imaginary)]
    if normalise == "pair":
        norms = [((norms[0] ** 2 + norms[1] ** 2) / 2).sqrt()] * 2
    return real / norms[0], imaginary / norms[1]


def steered_basis(size: int, sizes: Sequence[int], reference: int, orders: Sequence[float], normalise: str) -> Tensor:
    """What real and imaginary coefficients multiply in the filter of `size` pixels: float64 (2*Q*B, size * size).

    With theta = k ln(size / reference): mr (cos theta Re + sin theta Im) + mi (sin theta Re - cos theta Im).
    """
    full = max(sizes)
    real, imaginary = log_radial_harmonics(full, orders, normalise)
    theta = torch.tensor(effective_orders(full, orders), dtype=torch.float64) * math.log(size / reference)
    cos, sin = (wave[:, None, None, None] for wave in (theta.cos(), theta.sin()))
    both = torch.stack([cos * real + sin * imaginary, sin * real - cos * imaginary])
    cut = (full - size) // 2
    central = both[:, :, cut : full - cut, cut : full - cut]
    return central.permute(0, 1, 4, 2, 3).reshape(-1, size * size)


# ---------------------------------------------------------------------------------------------------------------- layer


class SteerableConv(PoolingLayer):
    """The locally scale-invariant layer: (N, C, H, W) -> (N, O, H', W').

    The maximum over `sizes` n of the convolution with the filter steered to n / `reference` and cut to n x n, zero padding
    (n-1)/2. `relu` applies the rectifier inside. Coefficients `real`, `imaginary` (Q, O, C, B), no bias. With `dead`, a tensor
    `unused` (O, C) that the published parameter count includes.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        sizes: Sequence[int],
        reference: int,
        orders: Sequence[float],
        *,
        stride: int = 1,
        relu: bool = True,
        normalise: str = "separate",
        dead: bool = True,
    ) -> None:
        super().__init__()
        self.sizes, self.stride, self.relu = tuple(sizes), stride, relu
        shape = (len(orders), channels_out, channels_in, ORIENTATIONS)
        self.real = nn.Parameter(torch.empty(shape))
        self.imaginary = nn.Parameter(torch.empty(shape))
        bound = math.sqrt(2 / (ORIENTATIONS * channels_in * channels_out))
        nn.init.uniform_(self.real, -bound, bound)
        nn.init.uniform_(self.imaginary, -bound, bound)
        if dead:
            self.unused = nn.Parameter(torch.empty(channels_out, channels_in).uniform_(-1e-5, 1e-5))
        bases = [steered_basis(size, sizes, reference, orders, normalise) for size in sizes]
        for size, basis in zip(sizes, bases, strict=True):
            self.register_buffer(f"basis_{size}", basis, persistent=False)
        self.bank = FilterBank([basis.unflatten(1, (size, size)) for size, basis in zip(sizes, bases, strict=True)])

    def coefficients(self) -> Tensor:
        """Those of each pair of channels: (2, Q, O, C, B) -> (O, C, 2*Q*B)."""
        return torch.stack([self.real, self.imaginary]).permute(2, 3, 0, 1, 4).flatten(2)

    def filters(self) -> list[Tensor]:
        """The filter at every size: (O, C, n, n)."""
        coefficients = self.coefficients()
        bases = (self.get_buffer(f"basis_{size}") for size in self.sizes)
        products = [coefficients @ basis.to(coefficients.dtype) for basis in bases]
        return [product.unflatten(2, (size, size)) for size, product in zip(self.sizes, products, strict=True)]

    def _responses(self, maps: Tensor) -> Tensor | list[Tensor]:
        """Of every size: (N, O, S, H', W') or each one's (N, O, H', W')."""
        if self.bank.pays(maps[:, :, None], self.real.shape[1], self.stride):
            return self.bank.convolve(maps[:, :, None], self.coefficients())
        return same_conv2d_bank(maps, self.filters(), self.stride)

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        largest, _ = largest_response(self._responses(maps), pool)
        return F.relu(largest) if self.relu else largest


class Unused(nn.Module):
    """Carries parameters that the published network counts and does not use; maps pass unchanged."""

    def __init__(self, unused: nn.Module) -> None:
        super().__init__()
        self.unused = unused

    def forward(self, maps: Tensor) -> Tensor:
        return maps


# ------------------------------------------------------------------------------------------------------------- networks

STEERED_CHANNELS = (30, 60, 90)
SIZES = {28: (5, 7, 9, 11, 13), 56: (7, 9, 11, 13, 15, 17)}
REFERENCE = 11
ORDERS = (0.5, 1.0, 2.0)
OPTIONS = {
    "dead": {"mnist-scale-*": ("keep", "drop")},
    "normalise": {"mnist-scale-*": ("separate", "pair")},
    **UPSAMPLE,
}


@register("ss-cnn", tasks="mnist-scale-*", paper="Ghosh & Gupta 2019, arXiv 1906.03861", options=OPTIONS)
def ss_cnn(task: str, dead: str = "keep", normalise: str = "separate", upsample: str = "nearest") -> nn.Module:
    """493,688 parameters, of which 7,410 influence nothing; `dead="drop"` builds the network without them."""
    keep, channels = dead == "keep", STEERED_CHANNELS
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task, channels):
        convolution = SteerableConv(
            channels_in, channels_out, SIZES[image_size(task)], REFERENCE, ORDERS, normalise=normalise, dead=keep
        )
        body += [convolution, pool, BatchNorm2d(channels_out)]
    if keep:
        body.append(Unused(nn.BatchNorm2d(channels[-1])))
    return mnist_net(task, body, convolutional_head(4 * channels[-1]), upsample)


STL_SIZES, STL_REFERENCE, STL_ORDERS = (3, 5, 7), 3, (1.0,)
STL_OPTIONS = {"dead": {"stl10+": ("keep", "drop")}, "normalise": {"stl10+": ("separate", "pair")}}


class SsCnnParts(Parts):
    """The skeleton with steerable filters, without a rectifier inside them; the shortcuts are ordinary.

    `block_sizes`: the filter sizes inside the blocks. The published code gives its list of sizes to the first layer only: in
    the blocks a single size, 3, is left, and with it no choice of scale.
    """

    def __init__(self, block_sizes: Sequence[int], dead: str, normalise: str) -> None:
        self.block_sizes, self.dead, self.normalise = block_sizes, dead == "keep", normalise

    def widths(self, widen_factor: int) -> tuple[int, int, int, int]:
        """Fewer channels, for the filters have more coefficients: 11, 88, 176, 352 in WRN-16-8."""
        return 11, 11 * widen_factor, 22 * widen_factor, 44 * widen_factor

    def stem(self, channels_out: int) -> nn.Module:
        """The largest of three sizes."""
        return self._steerable(3, channels_out, STL_SIZES, 1)

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """The largest of `block_sizes`."""
        return self._steerable(channels_in, channels_out, self.block_sizes, stride)

    def _steerable(self, channels_in: int, channels_out: int, sizes: Sequence[int], stride: int) -> nn.Module:
        basis, normalise, dead = (sizes, STL_REFERENCE, STL_ORDERS), self.normalise, self.dead
        return SteerableConv(channels_in, channels_out, *basis, stride=stride, relu=False, normalise=normalise, dead=dead)


@register("ss-cnn", tasks="stl10+", paper="Ghosh & Gupta 2019, arXiv 1906.03861", options=STL_OPTIONS)
def ss_cnn_wrn(task: str, dead: str = "keep", normalise: str = "separate", **size: Unpack[Size]) -> nn.Module:
    """10,846,835 parameters, as published: three filter sizes in the first layer, one in all others."""
    del task
    return wide_resnet(SsCnnParts((3,), dead, normalise), **size)


@register(
    "ss-cnn-multisize",
    tasks="stl10+",
    paper="Ghosh & Gupta 2019, corrected here: all sizes in every block",
    options=STL_OPTIONS,
)
def ss_cnn_multisize(task: str, dead: str = "keep", normalise: str = "separate", **size: Unpack[Size]) -> nn.Module:
    """10,846,835 parameters: three filter sizes in every layer, as the paper describes it; not the published network."""
    del task
    return wide_resnet(SsCnnParts(STL_SIZES, dead, normalise), **size)
