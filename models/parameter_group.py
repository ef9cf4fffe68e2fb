"""What a network may say of how some of its parameters are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that want another learning rate than the recipe's: an item of a network's `parameter_groups()`.

    The rate of step k of a run, counted from 0, is `lr_factor` (above 0) times the recipe's, its decays included, times
    min(1, k / W), where W is the share `warm_up` (0 to 1) of the run's steps. Parameters in no group have the recipe's rate.
    Raises ModelError: a value is none that it can be.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_factor: float = 1.0
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.parameters, tuple | list):
            raise ModelError(f"ParameterGroup: parameters is a {type(self.parameters).__name__}; give a tuple of parameters")
        if not 0 < self.lr_factor < math.inf:
            raise ModelError(f"ParameterGroup: lr_factor is {self.lr_factor!r}; give a finite number above 0")
        if not 0 <= self.warm_up <= 1:
            raise ModelError(f"ParameterGroup: warm_up is {self.warm_up!r}; give a share of the run's epochs, 0 to 1")
