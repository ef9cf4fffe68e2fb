"""DISCO: accurate discrete scale convolutions.

Sosnovik, Moskalev, Smeulders, "DISCO: accurate Discrete Scale Convolutions", BMVC 2021, arXiv 2106.02733.

The layers of SESN with another basis. On a grid of pixels, subsampling by a whole number s is exact, and so a filter of scale s
is that of scale 1 with its taps s pixels apart: no filter could be more accurate. For the scales in between there are tables,
fitted once, by which "convolve, then shrink" comes as near as it can to "shrink, then convolve"
(models/layers/proxy_tables.py), and never trained.

DISCO changes two things at once, the filters and, on MNIST-scale, the pools: averages in place of maxima. `disco@pool=max` and
`sesn-vector@pool=average` change one.

Shape letters: F = E*E functions, E effective filter size, K full filter size, S scales; function f = i*E + j is one tap, in row
i and column j, before it is scaled. Scale 0 is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.layers.plain import MaxPool2d, Pooled
from models.layers.proxy_tables import dilated_functions, proxy_table
from models.layers.scale_axis import ScalePool, ScaleProjection
from models.layers.steerable import LiftingConv, SteerableFilters
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, vector_body
from models.registry import register
from models.sesn import CONFIG_56, SesnParts, steerable_basis
from models.wide_resnet import Place, Size, he_normal, wide_resnet

PAPER = "Sosnovik et al. 2021, arXiv 2106.02733"

# ---------------------------------------------------------------------------------------------------------------- basis


def disco_filters(
    size: int,
    scales: Sequence[float],
    effective_size: int,
    sigma: float,
    max_order: int | None = None,
    mult: float = 1.4,
    table: Tensor | None = None,
) -> SteerableFilters:
    """Filters that combine Hermite functions of width `sigma` on E x E pixels, taken to each scale by a table of taps.

    B[f, s] = sum_g W[f, g] T[g, s], W of unit norm (docs/later-methods.md 2.9). At whole scales that is W with its taps s
    pixels apart. `table`: T, (F, S, K, K); None: the suite's own. `max_order`, `mult`: as of `steerable_basis`.

    Raises ModelError: the table is of another shape, is not finite, or has not those taps at whole scales.
    """
    hermite = steerable_basis(effective_size, [sigma], effective_size, max_order, mult)[1][0]  # (F, E, E)
    whole = [float(scale).is_integer() for scale in scales]
    if table is not None:
        _check_table(table, size, scales, effective_size)
    elif not all(whole):
        table = proxy_table(effective_size, size, scales)
    basis = []
    for s, is_whole in enumerate(whole):
        if is_whole:
            basis.append(hermite)
        else:
            assert table is not None
            basis.append(torch.tensordot(hermite.flatten(1), table[:, s].to(torch.float64), dims=1))
    return SteerableFilters(basis, dilations=[int(s) if is_whole else 1 for s, is_whole in zip(scales, whole, strict=True)])


def _check_table(table: Tensor, size: int, scales: Sequence[float], effective_size: int) -> None:
    shape = (effective_size**2, len(scales), size, size)
    if tuple(table.shape) != shape or not table.is_floating_point() or not table.isfinite().all():
        raise ModelError(
            f"table: a {table.dtype} tensor of shape {tuple(table.shape)}".replace("torch.", "")
            + f"; wanted: finite floating-point numbers of shape {shape}, (F, S, K, K)"
        )
    for s, scale in enumerate(scales):
        if float(scale).is_integer() and not torch.equal(table[:, s].double(), dilated_functions(effective_size, size, scale)):
            raise ModelError(f"table: at scale {scale:g} every function must be a single tap, {scale:g} pixels from the next")


# ------------------------------------------------------------------------------------------------------------- networks

SIZE, EFFECTIVE_SIZE, MAX_ORDER = 15, 7, 4
SCALES = (1.0, 1.26, 1.59, 2.0)
SIGMA = 1.9
MULT = {"56": 1.5, "56p": 1.9}  # "p" was tuned for the augmented task
OPTIONS = {"config": CONFIG_56, "pool": {"mnist-scale-56*": ("average", "max")}, **UPSAMPLE}


@register("disco", tasks="mnist-scale-56*", paper=PAPER, options=OPTIONS)
def disco(task: str, config: str, pool: str = "average", upsample: str = "nearest", table: Tensor | None = None) -> nn.Module:
    """494,549 parameters: a lifting convolution, two convolutions over scale and translation (L = 1), then the maximum."""
    filters = partial(disco_filters, SIZE, SCALES, EFFECTIVE_SIZE, SIGMA, MAX_ORDER, MULT[config], table)
    return mnist_net(task, vector_body(task, filters, pool), linear_head(4 * CHANNELS[-1]), upsample)


STL_SIZE, STL_EFFECTIVE_SIZE = 5, 3
STL_SCALES = (1.0, 1.41, 2.0)
STL_SIGMA = 0.9


class DiscoParts(SesnParts):
    """The parts of SESN without strides: what would be strided is pooled instead."""

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """The first convolution of groups 2 and 3 is a projection, a lifting, and max pooling."""
        if stride == 1:
            return super().convolution(place, channels_in, channels_out, stride)
        lifting = he_normal(LiftingConv(channels_in, channels_out, self.filters()))
        return nn.Sequential(ScaleProjection(), Pooled(lifting, MaxPool2d(stride)))

    def shortcut(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """One matrix for all scales."""
        matrix = super().shortcut(place, channels_in, channels_out, 1)
        return matrix if stride == 1 else nn.Sequential(matrix, ScalePool(MaxPool2d(stride)))


@register("disco", tasks="stl10+", paper=PAPER)
def disco_stl(task: str, table: Tensor | None = None, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: WRN-16-8 in the layout of SESN-B."""
    del task
    filters = partial(disco_filters, STL_SIZE, STL_SCALES, STL_EFFECTIVE_SIZE, STL_SIGMA, table=table)
    return wide_resnet(DiscoParts(filters, project_groups=(2, 3)), **size)
