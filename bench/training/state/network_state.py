"""The state of any network: taken, compared, and given to a network that is built anew.

Always in training mode, in which a network is built: some networks have other buffers in evaluation mode (the expanded filters
of steerable libraries). What is no tensor (a module's extra state, or what a hook adds) is kept as bytes, written and read at
once: a copy that nothing changes any more, and proof that it can be read back without running code from a file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.serialization import default_restore_location, safe_globals

from leaderboard.errors import one_line
from models import ModelError

EXTRA = "_extra_state"  # how torch ends the name of a module's extra state
StateDict = OrderedDict[str, Tensor | bytes]
# Plain types, and what numpy's arrays and numbers are made of: none of them runs code.
PLAIN = [bytes, frozenset, range, slice, np.ndarray, np.dtype, np._core.multiarray._reconstruct, np._core.multiarray.scalar]  # type: ignore[attr-defined]
PLAIN += sorted({type(np.dtype(code)) for code in "?bBhHiIlLqQefdFDSU"}, key=str)


def state_of(network: nn.Module, *, copied: bool = True) -> StateDict:
    """The network's state dict, its tensors copied unless told otherwise. The network is then in training mode.

    Raises ModelError: what is no tensor cannot be stored; and whatever the network may raise.
    """
    network.train()
    given: Any = network.state_dict()
    state: StateDict = copy(given)  # with the versions of its modules, which it carries beside its items
    for name, value in state.items():
        if not isinstance(value, Tensor) or name.endswith(EXTRA):
            state[name] = _packed(name, value)
        else:
            state[name] = value.detach().clone() if copied else value.detach()
    return state


def extras_of(network: nn.Module) -> dict[str, bytes]:
    """The extra states of the network's modules, in whatever mode it is."""
    modules = [(f"{path}.{EXTRA}".removeprefix("."), module) for path, module in network.named_modules()]
    return {
        name: _packed(name, module.get_extra_state())
        for name, module in modules
        if getattr(type(module), "get_extra_state", nn.Module.get_extra_state) is not nn.Module.get_extra_state
    }


def form_of(network: nn.Module) -> str:
    """What the network's state is made of (names, shapes, types), as a hash: another network's is another."""
    form = [
        [name, [] if isinstance(value, bytes) else [list(value.shape), str(value.dtype)]]
        for name, value in state_of(network, copied=False).items()
    ]
    return hashlib.sha256(json.dumps(form).encode()).hexdigest()


def restore(network: nn.Module, state: Mapping[str, Any], images: Tensor) -> None:
    """Give a state to a network that is built anew, also one that makes buffers, or other ones, only as it is used.

    `images`: what it would then be used on once, of which nothing is left. Raises whatever the network may raise.
    """
    network.train()
    if not state.keys() <= network.state_dict().keys():
        before = {name: module._buffers[leaf] for name, module, leaf in _buffers(network)}
        _use(network, images)
        network.train()
        for name, module, leaf in list(_buffers(network)):
            if name not in state and name in before:
                module._buffers[leaf] = before[name]
            elif name not in state and leaf not in module._non_persistent_buffers_set:
                del module._buffers[leaf]  # it was not made yet
    _fit_buffers(network, state)
    network.load_state_dict(unpacked(state, device_of(network)))


def _use(network: nn.Module, images: Tensor) -> None:
    """In training and in evaluation mode, as a run does, for what the network makes only then."""
    with torch.no_grad():
        network.train()
        network(images.clone())  # it may work in place
        network.eval()
        network(images.clone())


def unpacked(state: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """A state dict as the network gave it: what is kept as bytes is read, tensors in it go to where they were."""
    read = copy(state) if isinstance(state, OrderedDict) else OrderedDict(state)
    for name, value in read.items():
        if isinstance(value, bytes):
            read[name] = _read(value, device)
    return read


def same_bits(one: Any, other: Any) -> bool:
    """Whether two values, of all types that can be stored, are the same to the bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype or one.layout != other.layout:
            return False
        return torch.equal(*(_bits(tensor) for tensor in (one, other)))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_bits(value, other[name]) for name, value in one.items())
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same_bits, one, other))
    return type(one) is type(other) and (one is other or repr(one) == repr(other))


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """A copy of nested dictionaries and lists with every tensor changed; a state dict keeps the versions that it carries."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = copy(value)
        changed.update((name, map_tensors(inner, change)) for name, inner in value.items())
        return changed
    return type(value)(map_tensors(inner, change) for inner in value) if isinstance(value, list | tuple) else value


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to_dense().resolve_conj().contiguous().reshape(-1).view(torch.uint8)


def reason(error: Exception) -> str:
    """What torch says of a state that it does not store or read, in one line."""
    if found := re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)):
        return f"a {found[1]} in it"
    return one_line(str(error).strip().partition("\n")[0])[:160] or type(error).__name__


def _packed(name: str, value: Any) -> bytes:
    content = io.BytesIO()
    try:
        torch.save(value, content)
        _read(content.getvalue(), torch.device("cpu"))
    except Exception as error:  # pickle and torch refuse in many ways
        raise ModelError(
            f"the network's state holds, as {name!r}, what cannot be stored ({type(value).__name__}: {reason(error)}); "
            "tensors, numpy arrays, numbers, texts, and dictionaries and lists of them can"
        ) from error
    return content.getvalue()


def _read(content: bytes, device: torch.device) -> Any:
    def there(storage: Any, location: str) -> Any:
        return default_restore_location(storage, "cpu" if location == "cpu" else str(device))

    with safe_globals(PLAIN):
        return torch.load(io.BytesIO(content), map_location=there, weights_only=True)


def _buffers(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    for path, module in network.named_modules(remove_duplicate=False):
        for leaf in module._buffers:
            yield f"{path}.{leaf}".removeprefix("."), module, leaf


def _fit_buffers(network: nn.Module, state: Mapping[str, Any]) -> None:
    """Let persistent buffers be of the state's shapes and types, and there where the state has them."""
    modules, made, there = dict(network.named_modules(remove_duplicate=False)), dict[int, Tensor](), network.state_dict()
    for name, value in state.items():
        path, _, leaf = name.rpartition(".")
        module = modules.get(path)
        if module is None or not isinstance(value, Tensor) or leaf in module._parameters:
            continue
        own = module._buffers[leaf] if leaf in module._buffers else None  # noqa: SIM401 - a scripted module's are no dictionary
        if own is None and name not in there and (leaf in module._buffers or not hasattr(module, leaf)):
            module.register_buffer(leaf, torch.empty_like(value, device=device_of(network)))
        elif own is not None and (own.shape, own.dtype, own.layout) != (value.shape, value.dtype, value.layout):
            made.setdefault(id(own), torch.empty_like(value, device=own.device))  # it may be the buffer of several modules
            module._buffers[leaf] = made[id(own)]


def device_of(network: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> torch.device:
    """Where a network is; one without parameters and buffers is where its optimizer computes."""
    rates = (group["lr"] for group in optimizer.param_groups) if optimizer is not None else ()
    tensors = (*network.parameters(), *network.buffers(), *(rate for rate in rates if isinstance(rate, Tensor)))
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
