"""All generators of random numbers that a network may draw from: seeding them, and bringing them back to an earlier state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.training.state.network_state import map_tensors

OWN = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)


def seed_all(seed: int) -> None:
    """Seed every generator that all share: torch's, numpy's and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_states(device: torch.device, network: nn.Module) -> dict[str, Any]:
    """The states of all those generators and of the network's own, of types that weights_only lets through.

    A network's own are those that are attributes of its modules. One that lies elsewhere cannot be found.
    """
    name, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": random.getstate(),
        "own": {place: _state(generator) for place, generator in _own(network)},
    }


def restore_random_states(states: dict[str, Any], device: torch.device, network: nn.Module) -> None:
    """Bring the generators back to where `random_states` found them."""
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    random.setstate(states["python"])
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
    own = states.get("own", {})  # states from before networks' own were kept have none
    for place, generator in _own(network):
        if place in own:
            _restore(generator, own[place])


def _own(network: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, OWN):
                yield f"{path}.{name}", value


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    return _as_tensors(
        generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.get_state(False)
    )


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = map_tensors(state, Tensor.numpy)
    else:
        generator.set_state(map_tensors(state, Tensor.numpy))


def _as_tensors(state: Any) -> Any:
    """Of numpy's nested dictionaries; bits are kept: torch's unsigned types lack much, but are stored."""
    if isinstance(state, dict):
        return {name: _as_tensors(value) for name, value in state.items()}
    return torch.from_numpy(state.copy()) if isinstance(state, np.ndarray) else state
