"""A training step, once warm, stays on the device: it asks for no number and brings no tensor along from the host.

On the device `meta`, which computes nothing: there an operator that needs a value fails, and every operator that sees a tensor
of the CPU is caught here, as is every tensor that is made of Python's numbers. A CUDA device would wait at the same places,
and could not capture them in a graph.
"""

from collections.abc import Sequence

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import datasets
import models
from bench.measure.timed_step import timed_run
from bench.training.data import Epoch, Split
from bench.training.step import build_network_and_optimizer, forward_backward

META = torch.device("meta")
OURS = {task: models.list_models(task) for task in datasets.TASKS}  # before other tests register theirs


class OnHost(TorchDispatchMode):
    """Names the operators that see a tensor of the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.operators.append(str(func))
        return result


class MadeOfNumbers(TorchFunctionMode):
    """Names the functions that make a tensor of numbers: they copy it to its device where no operator is seen to do so."""

    def __init__(self, operators: list[str]) -> None:
        super().__init__()
        self.operators = operators

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor):
            self.operators.append(func.__name__)
        if func is torch.Tensor.__getitem__ and any(isinstance(leaf, list) for leaf in as_tuple(args[1])):
            self.operators.append("index of numbers")
        return func(*args, **(kwargs or {}))


def as_tuple(index: object) -> tuple[object, ...]:
    return index if isinstance(index, tuple) else (index,)


def an_epoch(task: str) -> Epoch:
    images = torch.zeros(8, *datasets.image_shape(task), dtype=torch.uint8, device=META)
    recipe = timed_run("cnn", task, 4, "float32").recipe
    return Epoch(Split(images, torch.zeros(8, dtype=torch.long, device=META)), recipe, torch.Generator().manual_seed(0))


def operators_on_host(task: str, forward, epoch: Epoch, steps: Sequence[int] = (0, 1)) -> list[str]:
    """Of the second step; the first one may still make its tables of constants."""
    recipe = timed_run("cnn", task, 4, "float32").recipe
    loss_sum = torch.zeros((), dtype=torch.float64, device=META)
    for step in steps:
        with OnHost() as on_host, MadeOfNumbers(on_host.operators):
            batch = epoch.batch(step)
            loss_sum += forward_backward(forward, batch, recipe).double() * len(batch.labels)
    return on_host.operators


@pytest.mark.parametrize("task", ["mnist-scale-28+", "mnist-scale-56+", "stl10+"])
def test_a_step_needs_nothing_from_the_host(task, monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # it does not know of the device meta
    epoch = an_epoch(task)
    for model in OURS[task]:
        network = models.create(model, task, **({"depth": 10, "widen_factor": 2} if task == "stl10+" else {})).to(META)
        assert operators_on_host(task, network.train(), epoch) == [], model


def test_what_this_would_catch():
    epoch = an_epoch("mnist-scale-28+")
    layer = torch.nn.Linear(784, 10, device=META)

    def brings_a_tensor(images):
        return layer(images.flatten(1)) + torch.tensor([0.0] * 10).to(META)

    def asks_for_a_number(images):
        return layer(images.flatten(1)) * images.mean().item()

    def makes_one_there(images):
        return layer(images.flatten(1)) + images.new_tensor([0.0] * 10)

    def picks_by_numbers(images):
        return layer(images.flatten(1))[:, [*range(10)]]

    assert "new_tensor" in operators_on_host("mnist-scale-28+", makes_one_there, epoch)
    assert "index of numbers" in operators_on_host("mnist-scale-28+", picks_by_numbers, epoch)
    assert any("copy" in operator for operator in operators_on_host("mnist-scale-28+", brings_a_tensor, epoch))
    with pytest.raises(RuntimeError, match="meta"):
        operators_on_host("mnist-scale-28+", asks_for_a_number, epoch)


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["mnist-scale-28+", "mnist-scale-56+"])
def test_a_warm_step_on_cuda_never_waits(task):
    device = torch.device("cuda")
    recipe = timed_run("cnn", task, 4, "float32").recipe
    images = torch.zeros(8, *datasets.image_shape(task), dtype=torch.uint8, device=device)
    split = Split(images, torch.zeros(8, dtype=torch.long, device=device))
    for model in OURS[task]:
        network, optimizer = build_network_and_optimizer(timed_run(model, task, 4, "float32"), device)
        epoch = Epoch(split, recipe, torch.Generator().manual_seed(0))
        for step in (0, 1):
            torch.cuda.set_sync_debug_mode("default" if step == 0 else "error")
            try:
                forward_backward(network.train(), epoch.batch(step), recipe)
                optimizer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
