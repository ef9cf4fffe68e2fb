"""The exact state of an unfinished run: taken, and given to a network and an optimizer that are made anew."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.training.state.network_state import StateDict, device_of, form_of, restore, state_of
from bench.training.state.randomness import random_states, restore_random_states


@dataclass
class Progress:
    """How far a run is, besides its weights and optimizer."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    best_error: float = float("inf")
    best_epoch: int = -1
    best_weights: StateDict = field(default_factory=OrderedDict)
    train_loss_curve: list[float] = field(default_factory=list)
    validation_error_curve: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    validation_seconds: list[float] = field(default_factory=list)
    background_load: list[float] = field(default_factory=list)  # of the processors' time, in each epoch (or its last part)
    form: str = ""  # of the network as it is built (`network_state.form_of`); states from before it was kept have none

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> Progress:
        """As it is stored in a checkpoint, also in one from before `background_load` had its name."""
        return cls(**{{"others_shares": "background_load"}.get(name, name): value for name, value in stored.items()})


def run_state(progress: Progress, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """All that a run is made of at this moment, of types that weights_only lets through; tensors are the run's own.

    The network is then in training mode. Raises ModelError: its state cannot be stored.
    """
    return {
        "progress": vars(progress),
        "network": state_of(network, copied=False),
        "optimizer": optimizer.state_dict(),
        "random": random_states(device_of(network, optimizer), network),
    }


def load_run_state(
    state: dict[str, Any], progress: Progress, network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor
) -> None:
    """Bring a freshly built network and its optimizer to a state. `images`: as for `network_state.restore`.

    Raises BenchError: it is of a network of another form.
    """
    network.train()
    if not progress.form:  # from before it was known: then nothing may differ
        network.load_state_dict(state["network"])
    elif progress.form != form_of(network):
        raise BenchError(_difference(state["network"], network))
    else:
        restore(network, state["network"], images)
    _load_optimizer(optimizer, state["optimizer"])
    restore_random_states(state["random"], device_of(network, optimizer), network)


def _difference(state: dict[str, Any], network: nn.Module) -> str:
    """The first parameter or buffer that differs."""
    then, now = (
        {name: tuple(getattr(value, "shape", ())) for name, value in each.items()} for each in (state, state_of(network))
    )
    for name in [*then, *now]:
        if then.get(name) != now.get(name):
            return f"its {name!r} is {then.get(name, 'missing')} there and {now.get(name, 'missing')} here"
    return "its parameters and buffers have other types"


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """As `load_state_dict`, but for how it computes: that is this optimizer's own, whatever device the state was saved on."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    groups = [group | mine for group, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})
    for group, mine in zip(optimizer.param_groups, own, strict=True):
        group.update(mine)  # the learning rate may be a tensor on the device, of which loading has made another
