"""Whether a training step, once warm, stays on the device: it asks for no number and brings no tensor along from the host.

On the device `meta`, which computes nothing: there an operator that needs a value fails, and every operator that sees a tensor
of the CPU is caught here, as is every tensor that is made of Python's numbers. A CUDA device would wait at the same places,
and could not capture them in a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import datasets
from bench.measure.timed_step import timed_run
from bench.training.data import Epoch, Split
from bench.training.step import forward_backward

META = torch.device("meta")


class OnHost(TorchDispatchMode):
    """Names the operators that see a tensor of the CPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.operators: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.operators.append(str(func))
        return result


class MadeOfNumbers(TorchFunctionMode):
    """Names the functions that make a tensor of numbers: they copy it to its device where no operator is seen to do so."""

    def __init__(self, operators: list[str]) -> None:
        super().__init__()
        self.operators = operators

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor):
            self.operators.append(func.__name__)
        if func is Tensor.__getitem__ and any(isinstance(leaf, list) for leaf in _as_tuple(args[1])):
            self.operators.append("index of numbers")
        return func(*args, **(kwargs or {}))


def _as_tuple(index: object) -> tuple[object, ...]:
    return index if isinstance(index, tuple) else (index,)


def an_epoch(task: str) -> Epoch:
    """Two batches of four images without any content, on `meta`, augmented as the task wants it."""
    images = torch.zeros(8, *datasets.image_shape(task), dtype=torch.uint8, device=META)
    recipe = timed_run("cnn", task, 4, "float32").recipe
    return Epoch(Split(images, torch.zeros(8, dtype=torch.long, device=META)), recipe, torch.Generator().manual_seed(0))


def operators_on_host(task: str, forward: Callable[[Tensor], Tensor], epoch: Epoch, steps: Sequence[int] = (0, 1)) -> list[str]:
    """What the last of the steps needs of the host; the first one may still make its tables of constants.

    Raises whatever the network may raise: RuntimeError where it asks for a number.
    """
    recipe = timed_run("cnn", task, 4, "float32").recipe
    loss_sum = torch.zeros((), dtype=torch.float64, device=META)
    with _autocast_known():
        for step in steps:
            with OnHost() as on_host, MadeOfNumbers(on_host.operators):
                batch = epoch.batch(step)
                loss_sum += forward_backward(forward, batch, recipe).double() * len(batch.labels)
    operators: list[str] = on_host.operators
    return operators


@contextmanager
def _autocast_known() -> Iterator[None]:
    """torch's question whether there is autocast does not know of the device meta; there is none."""
    before = torch.is_autocast_enabled
    torch.is_autocast_enabled = lambda *_: False
    try:
        yield
    finally:
        torch.is_autocast_enabled = before
