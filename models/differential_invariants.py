"""InvarLayer and InvarPDEs-Net: networks of differential invariants of the scale group.

Li, Qiu, Chen, He, Lin, "Affine Equivariant Networks Based on Differential Invariants", CVPR 2024.

Magnifying an image multiplies its derivatives of one order by one and the same factor. Divided by the largest magnitude that
the derivatives of its order have anywhere in the image, a derivative is therefore carried along unchanged: functions of such
quotients commute with magnification, without a scale axis and without a list of scales. Both networks are made of 1 x 1
convolutions of these quotients: one with pooling in between, and one that follows a partial differential equation for sixteen
explicit steps.

Shape letters: N batch, C channels in, O channels out, H, W map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError, shown
from models.layers.cpu.pde_step import in_one, updated
from models.layers.gaussian_derivatives import FUNCTIONS, Functions, gaussian
from models.layers.invariant_conv import (
    invariant_conv,
    largest_magnitudes,
    pixel_conv,
    reciprocals,
    with_derivatives,
)
from models.layers.plain import BatchNorm2d, MaxPool2d, PoolingLayer, unpooled
from models.mnist_net import UPSAMPLE, MnistNet, linear_head, mnist_net, stage
from models.registry import register

# ------------------------------------------------------------------------------------------------------------- features


def invariants(maps: Tensor, functions: Functions) -> Tensor:
    """The differential invariants of maps (N, C, H, W): (N, 6C, H, W), of magnitude 1 at most.

    nm(u), nm([r, c]), nm([rr, rc, cc]) in channel blocks: u and its Gaussian derivatives, each order divided by its largest
    magnitude in the image, all channels and pixels; by 1 where that is 0. What `InvariantConv` convolves, without gradients.
    """
    with torch.no_grad():
        each = with_derivatives(maps.permute(0, 2, 3, 1).contiguous(), functions)
        each *= reciprocals(largest_magnitudes(each)[0])
        return each.flatten(3).permute(0, 3, 1, 2)


# --------------------------------------------------------------------------------------------------------------- layers


class InvariantConv(nn.Linear):
    """1 x 1 convolution, with a bias, of the 6C invariants of maps: (N, C, H, W) -> (N, O, H, W), channels last in memory.

    Maps of one channel stand for C copies of it.
    """

    def __init__(self, channels_in: int, channels_out: int, functions: Functions) -> None:
        super().__init__(FUNCTIONS * channels_in, channels_out)
        self.functions = functions

    def forward(self, maps: Tensor) -> Tensor:
        weight = self.weight
        if maps.shape[1] == 1:
            weight = weight.unflatten(1, (FUNCTIONS, -1)).sum(dim=2)
        return invariant_conv(maps.permute(0, 2, 3, 1), weight, self.bias, self.functions).permute(0, 3, 1, 2)


class PixelConv(nn.Linear):
    """1 x 1 convolution with a bias: (N, C, H, W) -> (N, O, H, W), channels last in memory."""

    def forward(self, maps: Tensor) -> Tensor:
        return pixel_conv(maps.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class InvarLayer(PoolingLayer):
    """(N, C, H, W) -> (N, O, H, W): a 1 x 1 convolution of the invariants, rectifier, a second 1 x 1 convolution.

    Stride 2: 2 x 2 max pooling after the rectifier, sizes rounded down.
    """

    def __init__(self, channels_in: int, channels_out: int, functions: Functions, stride: int = 1) -> None:
        super().__init__()
        self.invariants = InvariantConv(channels_in, channels_out, functions)
        self.second = PixelConv(channels_out, channels_out)
        self.stride = stride

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        responses = self.invariants(maps)
        if self.stride > 1:
            responses = F.max_pool2d(responses, self.stride)
        return pool(self.second(F.relu(responses)))


class PdeStep(nn.Module):
    """One explicit step of u_t = P(invariants of u), by tau: u (N, C, H, W) -> ReLU(u + tau v), (N, C, H, W).

    v = BN(1 x 1 conv(ReLU(BN(1 x 1 conv of the 6C invariants)))), O channels in between. A first u of one channel stands for C
    copies of it.
    """

    def __init__(self, channels: int, hidden: int, functions: Functions) -> None:
        super().__init__()
        self.invariants, self.norm1 = InvariantConv(channels, hidden, functions), BatchNorm2d(hidden)
        self.second, self.norm2 = PixelConv(hidden, channels), BatchNorm2d(channels)

    def forward(self, u: Tensor, tau: Tensor) -> Tensor:
        responses = self.invariants(u)
        if in_one(self.norm1, responses):
            return updated(u, responses, self.norm1, self.second, self.norm2, tau)
        v = self.norm2(self.second(F.relu(self.norm1(responses))))
        return F.relu(u + tau * v)


class Pde(nn.Module):
    """The image, one channel, copied to `channels`, then `iterations` steps: (N, 1, H, W) -> (N, C, H, W).

    The steps share no weights; their lengths tau are learned, equal and 1 together at first. `grey`: the value of white.
    """

    def __init__(self, channels: int, hidden: int, iterations: int, functions: Functions, grey: float = 1.0) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.full((iterations,), 1 / iterations))
        self.steps = nn.ModuleList(PdeStep(channels, hidden, functions) for _ in range(iterations))
        self.grey = grey

    def forward(self, images: Tensor) -> Tensor:
        u = images * self.grey if self.grey != 1 else images
        for step, tau in zip(self.steps, self.tau.unbind(), strict=True):
            u = step(u, tau)
        return u


class LargestPixel(nn.Module):
    """The maximum over all pixels: (N, C, H, W) -> (N, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))


# ------------------------------------------------------------------------------------------------------------- networks

PAPER = "Li et al. 2024, CVPR, Affine Equivariant Networks Based on Differential Invariants"
INVAR_CHANNELS, INVAR_DROPOUT = (83, 163, 247), 0.5
PDE_HIDDEN = 64
WHITE = {"unit": 1.0, "byte": 255.0}


class RawPixelsNet(MnistNet):
    """A network that takes pixels without the data's mean and deviation: the zeros beside an image are to be its background."""

    raw_pixels = True


def _functions(kernels: str) -> Functions:
    return gaussian(zero_mean=kernels == "zero-mean")


def _check(what: str, given: Sequence[int], count: int) -> None:
    values = list(given) if isinstance(given, Sequence) else []
    if len(values) != count or not all(isinstance(value, int) and value > 0 for value in values):
        raise ModelError(f"{what}: {shown(given)}; give {count} positive whole numbers")


@register(
    "invar-layer",
    tasks="mnist-scale-28*",
    paper=PAPER,
    options={"kernels": {"mnist-scale-28*": ("published", "zero-mean")}},
)
def invar_layer(task: str, kernels: str = "published", channels: Sequence[int] = INVAR_CHANNELS) -> nn.Module:
    """485,991 parameters: [layer, ReLU, max pooling, BN] of 83, 163, 247 channels on 28, 14, 7 pixels, and the linear head.

    Takes pixels in [0, 1] as they are. `kernels="zero-mean"`: second derivatives that do not see a constant. Raises ModelError:
    `channels` are not three positive numbers.
    """
    _check("invar-layer: channels", channels, 3)
    functions, body, pools = _functions(kernels), [], (MaxPool2d(2), MaxPool2d(2), MaxPool2d(7))
    for channels_in, channels_out, pool in zip((1, *channels), channels, pools, strict=False):
        body += stage(InvarLayer(channels_in, channels_out, functions), pool, BatchNorm2d(channels_out))
    return RawPixelsNet(*mnist_net(task, body, linear_head(channels[-1], INVAR_DROPOUT)))


@register(
    "invar-pdes",
    tasks="mnist-scale-*",
    paper=PAPER,
    options={
        "kernels": {"mnist-scale-*": ("published", "zero-mean")},
        "pixels": {"mnist-scale-*": ("unit", "byte")},
        **UPSAMPLE,
    },
)
def invar_pdes(
    task: str,
    kernels: str = "published",
    pixels: str = "unit",
    upsample: str = "nearest",
    channels: int = 65,
    hidden: int = 65,
    iterations: int = 16,
) -> nn.Module:
    """484,330 parameters: sixteen steps of 65 channels on all pixels, their maxima, two linear layers. Any image size.

    Takes pixels in [0, 1] as they are; `pixels="byte"`: the equation starts from [0, 255], which u^0, and hence the network, is
    not blind to. `kernels` as in `invar_layer`. Raises ModelError: a number is not positive.
    """
    _check("invar-pdes: channels, hidden, iterations", (channels, hidden, iterations), 3)
    body = [Pde(channels, hidden, iterations, _functions(kernels), WHITE[pixels])]
    head = [LargestPixel(), nn.Linear(channels, PDE_HIDDEN), nn.ReLU(), nn.Linear(PDE_HIDDEN, 10)]
    return RawPixelsNet(*mnist_net(task, body, head, upsample))
