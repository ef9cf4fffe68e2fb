"""The MNIST-scale skeleton that all methods share, and its two heads.

Three stages of [convolution, ReLU, max pooling, batch normalisation], in this order, then a head of two layers
(Sosnovik et al. 2020, section 5.1; the published code's order: normalisation comes last). Maps are 28 -> 14 -> 7 -> 2 pixels
wide, or 56 -> 28 -> 14 -> 2 in the 56 models, whose first operation doubles the image.

A method brings its own convolutions; everything here is common.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.plain import MaxPool2d, PoolingLayer
from models.layers.scale_axis import ScaleMaxPool

CHANNELS = (32, 63, 95)
HIDDEN = 256
DROPOUT = 0.7
CLASSES = 10


def image_size(task: str) -> int:
    """Width in pixels of the map that the first convolution sees: 28 or 56."""
    return int(task.removeprefix("mnist-scale-").removesuffix("+"))


def stage_pools(task: str) -> tuple[MaxPool2d, MaxPool2d, MaxPool2d]:
    """Spatial pooling after each of the three convolutions; the last leaves 2 x 2 pixels."""
    last = image_size(task) // 7
    return MaxPool2d(2), MaxPool2d(2), MaxPool2d(last, padding=2)


class Upsample(nn.Module):
    """Double the image: (N, C, H, W) -> (N, C, 2H, 2W).

    The published code repeats pixels ("nearest"); the papers say "bilinear" (half-pixel centres), an option here.
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, images: Tensor) -> Tensor:
        """Return the doubled image."""
        corners = None if self.mode == "nearest" else False
        return F.interpolate(images, scale_factor=2, mode=self.mode, align_corners=corners)


def linear_head(features: int) -> list[nn.Module]:
    """The head of the CNN, SiCNN, SI-ConvNet, DSS and SESN networks: (N, C, 2, 2), `features` = 4C, to (N, 10)."""
    return [
        nn.Flatten(),
        nn.Linear(features, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, CLASSES),
    ]


def convolutional_head(features: int) -> list[nn.Module]:
    """The head of the SEVF and SS-CNN networks: 1 x 1 convolutions with a bias, (N, C, 2, 2), `features` = 4C, to (N, 10)."""
    return [
        nn.Flatten(),
        nn.Unflatten(1, (features, 1, 1)),
        nn.Conv2d(features, HIDDEN, 1),
        nn.BatchNorm2d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Conv2d(HIDDEN, CLASSES, 1),
        nn.Flatten(),
    ]


class MnistNet(nn.Sequential):
    """Its modules one after the other; where a convolution can pool, its pooling comes before its maximum and the rectifier."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 1, 28, 28) -> (N, 10)."""
        modules = list(self)
        while modules:
            layer, *modules = modules
            rectifiers = modules[:1] if modules and isinstance(modules[0], nn.ReLU) else []
            pool = _pooling(modules[len(rectifiers) :])
            if isinstance(layer, PoolingLayer) and pool is not None:
                maps, modules = layer(maps, pool), [*rectifiers, *modules[len(rectifiers) + 1 :]]
            else:
                maps = layer(maps)
        return maps


def _pooling(modules: Sequence[nn.Module]) -> MaxPool2d | None:
    """What the first of the modules does to every map, if it is max pooling."""
    pool = modules[0] if modules else None
    inner = pool.pool if isinstance(pool, ScaleMaxPool) else pool
    return inner if isinstance(inner, MaxPool2d) else None


def mnist_net(task: str, body: Sequence[nn.Module], head: Sequence[nn.Module], upsample: str = "nearest") -> MnistNet:
    """Put a network together: (N, 1, 28, 28) -> (N, 10). `upsample` is used by the 56 models only."""
    first = [Upsample(upsample)] if image_size(task) == 56 else []
    return MnistNet(*first, *body, *head)
