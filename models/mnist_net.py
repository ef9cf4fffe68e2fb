"""The MNIST-scale skeleton that all methods share, and its two heads.

Three stages of [convolution, ReLU, max pooling, batch normalisation], then a head of two layers (Sosnovik et al. 2020, section
5.1; the published code's order: normalisation comes last). Maps are 28 -> 14 -> 7 -> 2 pixels wide, or 56 -> 28 -> 14 -> 2 in
the 56 models, whose first operation doubles the image. Pooling is done earlier than it is listed: `MnistNet` says why.

A method brings its own convolutions; everything here is common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError, shown
from models.layers.plain import AvgPool2d, BatchNorm2d, MaxPool2d, PoolingLayer, RectifiedAvgPool2d
from models.layers.scale_axis import ScaleBatchNorm, ScalePool
from models.layers.steerable import LiftingConv, ScaleConv, SteerableFilters

CHANNELS = (32, 63, 95)
HIDDEN = 256
DROPOUT = 0.7
CLASSES = 10
UPSAMPLE = {"upsample": {"mnist-scale-56*": ("nearest", "bilinear")}}  # an option that every network here has


def image_size(task: str) -> int:
    """Width in pixels of the map that the first convolution sees: 28 or 56."""
    return int(task.removeprefix("mnist-scale-").removesuffix("+"))


def stage_pools(task: str) -> tuple[MaxPool2d, MaxPool2d, MaxPool2d]:
    """Spatial pooling after each of the three convolutions; the last leaves 2 x 2 pixels."""
    last = image_size(task) // 7
    return MaxPool2d(2), MaxPool2d(2), MaxPool2d(last, padding=2)


def stages(task: str, channels: Sequence[int] = CHANNELS) -> Iterator[tuple[int, int, MaxPool2d]]:
    """Of each of the three stages: channels in, channels out, pooling."""
    return zip((1, *channels), channels, stage_pools(task), strict=False)


def stage(convolution: nn.Module, pool: nn.Module, norm: nn.Module) -> list[nn.Module]:
    """A stage's modules as published, [convolution, ReLU, pool, norm]. `MnistNet` runs them in the order of these arguments."""
    return [convolution, nn.ReLU(), pool, norm]


def vector_body(task: str, filters: Callable[[], SteerableFilters], pool: str = "max", *, relu: bool = True) -> list[nn.Module]:
    """The three stages of a network that carries the scale axis to its last convolution: (N, 1, H, W) -> (N, 95, 2, 2).

    A lifting convolution, two over scale and translation (L = 1), then the maximum over scales; `filters` makes those of each
    of them. `pool`: "max", or "average", the pools of DISCO (Sosnovik et al. 2021), which at the end takes maxima over 7 x 7
    pixels at every one of 8 x 8 places, then averages those at rows and columns 0, 1 and 4, 5. `relu`: whether there is a
    rectifier in the first two stages. Raises ModelError: there are no such pools, or not for this image size.
    """
    if pool not in ("max", "average") or (pool == "average" and image_size(task) != 56):
        raise ModelError(f"pool={shown(pool)} on {task}: allowed: max, and average where images have 56 pixels")
    first, second, third = CHANNELS
    *between, last = stage_pools(task)
    pools: list[nn.Module] = [ScalePool(AvgPool2d(2)) if pool == "average" else ScalePool(spatial) for spatial in between]
    ends: list[nn.Module] = [MaxPool2d(7, stride=1), AvgPool2d(2, stride=4)] if pool == "average" else [last]
    convolutions: list[nn.Module] = [
        LiftingConv(1, first, filters(), bias=True),
        ScaleConv(first, second, filters(), bias=True),
        ScaleConv(second, third, filters(), bias=True, project=True),
    ]
    rectifiers = [nn.ReLU()] if relu else []
    return [
        *(convolutions[0], *rectifiers, pools[0], ScaleBatchNorm(first)),
        *(convolutions[1], *rectifiers, pools[1], ScaleBatchNorm(second)),
        *(convolutions[2], nn.ReLU(), *ends, BatchNorm2d(third)),
    ]


class Upsample(nn.Module):
    """Double the image: (N, C, H, W) -> (N, C, 2H, 2W).

    The published code repeats pixels ("nearest"); the papers say "bilinear" (half-pixel centres), an option here.
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, images: Tensor) -> Tensor:
        corners = None if self.mode == "nearest" else False
        return F.interpolate(images, scale_factor=2, mode=self.mode, align_corners=corners)


def linear_head(features: int, dropout: float = DROPOUT) -> list[nn.Module]:
    """The head of most networks: maps (N, C, H, W) of `features` = C*H*W numbers, 4C but for invar-layer, to (N, 10)."""
    return [
        nn.Flatten(),
        nn.Linear(features, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(dropout),
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
    """Its modules one after the other, but that a convolution which can pool is handed the pooling that is listed after it.

    It pools its responses, before their maximum over scales and the bias; the rectifier listed in between comes afterwards. Max
    pooling commutes exactly with all three, which then work on a quarter of the elements. Average pooling does not: it is done
    with the rectifier, in one. `steps` are the order of execution.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 1, 28, 28) -> (N, 10)."""
        for layer, pool in self.steps():
            maps = layer(maps) if pool is None else layer(maps, pool)
        return maps

    def steps(self) -> list[tuple[nn.Module, nn.Module | None]]:
        """The modules in the order in which they run, each with the pooling that it is handed."""
        modules, steps = list(self), []
        while modules:
            layer, *modules = modules
            rectifiers = modules[:1] if modules and isinstance(modules[0], nn.ReLU) else []
            pool = _pooling(layer, rectifiers, modules[len(rectifiers) :]) if isinstance(layer, PoolingLayer) else None
            if pool is not None:
                modules = modules[len(rectifiers) + 1 :]
                modules = modules if isinstance(pool, RectifiedAvgPool2d) else [*rectifiers, *modules]
            steps.append((layer, pool))
        return steps


def _pooling(layer: PoolingLayer, rectifiers: Sequence[nn.Module], modules: Sequence[nn.Module]) -> nn.Module | None:
    """What the first of the modules does to every map, if it is pooling that the convolution had better do."""
    pool = modules[0] if modules else None
    inner = pool.pool if isinstance(pool, ScalePool) else pool
    if isinstance(inner, AvgPool2d) and rectifiers and layer.averages:
        return RectifiedAvgPool2d(inner.kernel_size, inner.stride)
    return inner if isinstance(inner, MaxPool2d) and inner.stride != 1 else None


def mnist_net(task: str, body: Sequence[nn.Module], head: Sequence[nn.Module], upsample: str = "nearest") -> MnistNet:
    """Put a network together: (N, 1, 28, 28) -> (N, 10). `upsample` is used by the 56 models only."""
    first = [Upsample(upsample)] if image_size(task) == 56 else []
    return MnistNet(*first, *body, *head)
