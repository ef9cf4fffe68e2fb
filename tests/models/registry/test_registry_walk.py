"""What every registered network must do on every MNIST-scale task, whatever its method."""

import pytest
import torch
from golden import is_dead
from properties import DECIDED_OTHERWISE, ROUNDED, assert_gradients_agree
from torch.nn import functional as F

import models


def own_models(*tasks):
    """(name, task) of the networks of this package; plugins are their authors' to test."""
    every = [(name, task) for task in tasks for name in models.list_models(task)]
    return [pair for pair in every if models.info(*pair).module.startswith("models.")]


def same_as_unaugmented(name: str, task: str) -> bool:
    """Whether a "+" task has the very network of the task without it: no option's default differs."""
    return task.endswith("+") and models.info(name, task).choices(task) == models.info(name, task).choices(task[:-1])


EVERY = own_models("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")
WALK = [pair for pair in EVERY if not same_as_unaugmented(*pair)]
REPEATED = [pair for pair in EVERY if same_as_unaugmented(*pair)]
# Parameters that the published networks count and never use.
DEAD = {
    "sevf-vector": {"2.unused", "5.unused"},
    "ss-cnn": {"0.unused", "3.unused", "6.unused", "9.unused.weight", "9.unused.bias"},
}
# Where sesn-learned starts by itself, its filters have 27 pixels in float32 and 25 in float64.
OVERRIDES = {"sesn-learned": {"parameter": 0.5}, "invar-pdes": {"iterations": 4}}  # the latter: sixteen alike take long


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def network(name: str, task: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.create(name, task, **OVERRIDES.get(name, {}))


def close_in_float32(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(("name", "task"), WALK)
def test_walk(name, task):
    """One network, all questions: building them is half the cost."""
    net, batch = network(name, task), images(3)
    before = {key: value.clone() for key, value in net.state_dict().items()}

    with torch.no_grad():
        logits = net.eval()(batch)
        assert logits.shape == (3, 10)
        assert logits.isfinite().all()
        order = [2, 0, 1]
        close_in_float32(net(batch[order]), logits[order])
        close_in_float32(net(batch[1:2]), logits[1:2])
        assert torch.equal(net(batch), logits)
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        close_in_float32(logits, net.double()(batch.double()))

    net.float().train()
    F.cross_entropy(net(batch), torch.arange(3)).backward()
    offset = 1 if "-56" in task else 0  # the doubling comes first
    without = {key for key, parameter in net.named_parameters() if parameter.grad is None}
    dead = {f"{int(key.partition('.')[0]) + offset}.{key.partition('.')[2]}" for key in DEAD.get(name, set())}
    assert without == dead
    assert all(is_dead(key) for key in dead)
    for key, parameter in net.named_parameters():
        if key not in dead:
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.any(), key


@pytest.mark.parametrize(("name", "task"), [pair for pair in WALK if pair[1] == "mnist-scale-28"])
def test_trains_with_precision_bf16(name, task):
    """As the protocol setting does it: what layers keep, running statistics above all, stays in float32."""
    net = network(name, task).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(net(images(3)), torch.arange(3))
    loss.backward()
    assert loss.isfinite()
    assert {value.dtype for value in net.state_dict().values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize(("name", "task"), WALK)
def test_the_seed_alone_decides_the_parameters(name, task):
    """No hidden state: another network built in between, or another thread count, changes nothing."""
    first = network(name, task)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = network(name, task)
    finally:
        torch.set_num_threads(threads)
    for (key, value), (_, other) in zip(first.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(value, other), key


@pytest.mark.parametrize(("name", "task"), REPEATED)
def test_the_augmented_task_has_the_same_network(name, task):
    net, batch = network(name, task).eval(), images(1)
    with torch.no_grad():
        assert torch.equal(net(batch), network(name, task[:-1]).eval()(batch))


@pytest.mark.parametrize("name", models.list_models("mnist-scale-56"))
def test_the_56_network_is_its_core_on_the_doubled_image(name):
    net, batch = network(name, "mnist-scale-56").eval(), images(1)
    with torch.no_grad():
        doubled = batch.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        torch.testing.assert_close(net[1:](doubled), net(batch))


@pytest.mark.parametrize("name", models.list_models("mnist-scale-28"))
def test_training_after_an_evaluation_in_inference_mode(name):
    net, batch = network(name, "mnist-scale-28"), images(8)
    with torch.inference_mode():
        net.eval()(batch)
    net.train()(batch).sum().backward()


def best_of(task):
    return DECIDED_OTHERWISE if "-56" in task else ROUNDED


SMALL = [(name, "mnist-scale-28") for name in models.list_models("mnist-scale-28")]
LARGE = [(name, "mnist-scale-56") for name in ("cnn", "dss-vector", "sesn-vector")]


@pytest.mark.parametrize(("name", "task"), SMALL + LARGE)
def test_gradients_in_float32_are_those_in_float64(name, task):
    """What the next test asks of a GPU can be met."""
    assert_gradients_agree(network(name, task), (1, 28, 28), "cpu", best_of(task))


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "task"), WALK)
def test_gradients_on_cuda_are_those_in_float64(name, task, without_tf32):
    assert_gradients_agree(network(name, task), (1, 28, 28), "cuda", best_of(task))


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "task"), WALK)
def test_cpu_and_cuda_agree(name, task, without_tf32):
    net, batch = network(name, task).eval(), images(8)
    with torch.no_grad():
        expected = net(batch)
        close_in_float32(net.cuda()(batch.cuda()).cpu(), expected)
