"""A training step, once warm, stays on the device: it asks for no number and brings no tensor along from the host.

On the device `meta`, which computes nothing: there an operator that needs a value fails, and every operator that sees a tensor
of the CPU is caught here, as is every tensor that is made of Python's numbers. A CUDA device would wait at the same places,
and could not capture them in a graph.
"""

import pytest
import torch

import datasets
import models
from bench.checking.host import META, an_epoch, operators_on_host
from bench.measure.timed_step import timed_run
from bench.training.data import Epoch, Split
from bench.training.step import build_network_and_optimizer, forward_backward

OURS = {task: models.list_models(task) for task in datasets.TASKS}  # before other tests register theirs


@pytest.mark.parametrize("task", ["mnist-scale-28+", "mnist-scale-56+", "stl10+"])
def test_a_step_needs_nothing_from_the_host(task):
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
