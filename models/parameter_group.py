"""What a network may say of how some of its parameters are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that want another learning rate than the recipe's: an item of a network's `parameter_groups()`.

    `lr_factor` (above 0) times the recipe's rate, its decays included; `warm_up` (0 to 1): the share of the run's epochs over
    which the rate rises linearly from 0, step by step. All parameters that are in no group have the recipe's rate.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_factor: float = 1.0
    warm_up: float = 0.0
