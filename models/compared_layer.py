"""Layers of a network that a measurement of equivariance is to look at, where it would not find them by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class ComparedLayer:
    """A layer whose maps `bench equivariance` and `bench check` compare; `network.compared_layers()` returns a list of these.

    `module`: a module of the network; what it gives at its first call in a forward pass is the layer's output. `collapse` makes
    maps (N, C, H, W) of it, as wide as the image or a half, a quarter of it; without it maps of four axes stay as they are, and
    of (N, C, S, H, W) the maximum over S is taken. `strided`: pixel j of a map half as wide lies on pixel 2j of the image, as
    strided convolutions leave it, and not between 2j and 2j + 1, as pooling does. `name`: what tables call it ("layer 1").
    """

    module: nn.Module
    collapse: Callable[[Any], Tensor] | None = None
    strided: bool = False
    name: str = ""
