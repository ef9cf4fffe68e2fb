"""Parameters with a learning rate of their own, AdamW and the cosine: a run is the loop that one writes by hand."""

import math
from contextlib import nullcontext

import pytest
import torch
from tiny import RECIPE, TINY
from tiny_runs import CPU, one_run, resumed
from torch import nn
from torch.nn import functional as F

import models
from bench.training import graphs
from bench.training.captured_steps import Steps
from bench.training.data import Epoch, load_split
from bench.training.run import execute
from bench.training.state.randomness import seed_all
from bench.training.state.run_state import _load_optimizer
from bench.training.state.weights import trained_network
from bench.training.step import build_network_and_optimizer
from bench.training.trainer import Watch

pytestmark = pytest.mark.usefixtures("own_registry")
FACTOR, WARM_UP = 0.5, 0.5  # of nine steps: the rate rises for four and a half
PLUGIN = """
import models
import torch
from torch import nn
from torch.nn import functional as F


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.gain = nn.Linear(49, 10).double(), nn.Parameter(torch.ones(49).double())

    def parameter_groups(self):
        return [models.ParameterGroup((self.gain,), lr_factor=0.5, warm_up=0.5)]

    def forward(self, images):
        return self.layer(self.gain * F.avg_pool2d(images.double(), 4).flatten(1))


models.register("grouped-net", tasks="mnist-scale-*")(lambda task: Grouped())
"""
STEPS = "learning_rate_steps: {factor: 0.1, after_epochs: [2]}"
COSINE = "learning_rate_cosine: true"
ADAM = "{name: adam, lr: 0.01, betas: [0.8, 0.9], eps: 1.0e-3, weight_decay: 0.1}"
ADAMW = ADAM.replace("adam", "adamw")
SGD = "{name: sgd, lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 0.1}"


@pytest.fixture
def run(tmp_path):
    """run(optimizer, schedule): of the network above, which has come as a plugin."""

    def make(optimizer=ADAM, schedule=STEPS):
        (tmp_path / "grouped.py").write_text(PLUGIN)
        models.load_plugin(tmp_path / "grouped.py")
        text = TINY.replace(STEPS, schedule).replace("select: best-validation", "select: last")
        given = RECIPE.partition("optimizer: ")[2].partition("\n")[0]
        (tmp_path / "grouped.yaml").write_text(text.replace(given, optimizer))
        return one_run(tmp_path / "grouped.yaml", "grouped-net")

    return make


def trained_by_hand(run):
    """The recipe in plain words, without an optimizer of torch."""
    recipe, given, split = run.recipe, run.recipe.optimizer, load_split(run, "train", CPU)
    seed_all(run.seed("weights"))
    network = models.create("grouped-net", run.task)
    first, second = {}, {}  # moments; of SGD the momentum alone
    for k in range(9):
        epoch, number = divmod(k, 3)
        batch = Epoch(split, recipe, torch.Generator().manual_seed(run.seed("epoch", epoch))).batch(number)
        loss = F.cross_entropy(network(batch.images), batch.labels)
        named = dict(network.named_parameters())
        falls = (1 + math.cos(math.pi * epoch / 3)) / 2 if recipe.learning_rate_cosine else [1, 1, 0.1][epoch]
        gradients = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
        for name, weight in ((name, parameter.data) for name, parameter in named.items()):
            rate = 0.01 * falls * (FACTOR * min(1, k / (WARM_UP * 9)) if name == "gain" else 1)
            gradient = gradients[name] + (0 if given.name == "adamw" else 0.1) * weight
            if given.name == "adamw":
                weight.mul_(1 - rate * 0.1)
            if given.name == "sgd":
                first[name] = 0.9 * first[name] + gradient if k else gradient
                weight.sub_(rate * (gradient + 0.9 * first[name]))
            else:
                first[name] = 0.8 * first.get(name, 0) + 0.2 * gradient
                second[name] = 0.9 * second.get(name, 0) + 0.1 * gradient**2
                mean, square = first[name] / (1 - 0.8 ** (k + 1)), second[name] / (1 - 0.9 ** (k + 1))
                weight.sub_(rate * mean / (square.sqrt() + 1e-3))
    return network.state_dict()


@pytest.mark.parametrize("optimizer", [ADAM, ADAMW, SGD], ids=["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", [STEPS, COSINE], ids=["steps", "cosine"])
def test_a_run_is_the_loop_written_by_hand_also_where_it_is_resumed_in_a_warm_up(run, tmp_path, optimizer, schedule):
    this = run(optimizer, schedule)
    whole = execute(this, CPU, tmp_path / "whole", Watch())
    assert whole.status == "ok", whole.failure
    pieces = resumed(this, tmp_path / "pieces", [2, 1, 1, 3])  # within the first epoch, at its end, within the next two
    assert pieces.metrics == whole.metrics
    expected = trained_by_hand(this)
    found, again = (trained_network(tmp_path / each, whole, CPU).state_dict() for each in ("whole", "pieces"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)
        assert torch.equal(found[name], again[name]), name


def test_steps_that_are_captured_read_their_rates_from_tensors_that_are_filled_before(run, monkeypatch):
    """On CUDA the rates are on the device; a graph knows their place alone."""
    monkeypatch.setattr(graphs, "_waiting_is_an_error", nullcontext)
    monkeypatch.setattr(graphs, "capture", lambda step, device: step)
    this = run(schedule=COSINE)
    network, optimizer = build_network_and_optimizer(this, CPU)
    rates = [torch.tensor(group["lr"], dtype=torch.float64) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    steps, split, seen = Steps(network.train(), optimizer, this.recipe, CPU), load_split(this, "train", CPU), []
    steps.to_capture = True
    for number in range(3):
        steps.begin_epoch(Epoch(split, this.recipe, torch.Generator().manual_seed(number)), number)
        assert bool(steps._warming_up) is (number < 2)  # afterwards no step fills anything
        for step in range(3):
            steps.step(step)
            seen.append([rate.item() for rate in rates])
    assert steps.captured
    assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True))
    falls = [0.01 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in range(3) for _ in range(3)]
    expected = [[rate, FACTOR * rate * min(1, k / 4.5)] for k, rate in enumerate(falls)]
    torch.testing.assert_close(torch.tensor(seen), torch.tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", [ADAM, ADAMW, SGD], ids=["adam", "adamw", "sgd"])
def test_on_cuda_a_captured_warm_up_is_the_loop_written_by_hand(run, tmp_path, optimizer):
    this = run(optimizer, COSINE)
    record = execute(this, torch.device("cuda"), tmp_path, Watch())
    assert record.status == "ok", record.failure
    assert record.execution.cuda_graph
    for name, value in trained_by_hand(this).items():
        found = trained_network(tmp_path, record, CPU).state_dict()[name]
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-6)  # rates are float32 there


def test_a_network_that_asks_for_nothing_has_the_optimizer_that_it_had(tiny):
    """One group, with nothing in it that torch has not put there; and it goes on from the state of such a one."""
    run = one_run(tiny, "cnn")
    network, optimizer = build_network_and_optimizer(run, CPU)
    plain = torch.optim.Adam(network.parameters(), 0.01, (0.9, 0.999), 1e-8, 0.0)
    assert optimizer.state_dict() == plain.state_dict()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    plain.step()
    _load_optimizer(optimizer, plain.state_dict())
    assert str(optimizer.state_dict()) == str(plain.state_dict())


def test_every_trainable_parameter_is_in_one_group_the_recipes_first(tiny):
    class Some(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Parameter(torch.zeros(n)) for n in (1, 2, 3, 4))
            self.c.requires_grad_(requires_grad=False)

        def parameter_groups(self):
            return (models.ParameterGroup((self.c, self.d)), models.ParameterGroup([self.b], lr_factor=3))

    models.register("some-net", tasks="mnist-scale-28+")(lambda task: Some())
    network, optimizer = build_network_and_optimizer(one_run(tiny, "some-net"), CPU)
    groups = [(group["params"], group["lr"]) for group in optimizer.param_groups]
    assert str(groups) == str([([network.a], 0.01), ([network.d], 0.01), ([network.b], 0.03)])


class Wrong(nn.Module):
    def __init__(self, asks):
        super().__init__()
        self.layer, self.asks = nn.Linear(784, 10), asks

    def parameter_groups(self):
        return self.asks(self.layer)

    def forward(self, images):
        return self.layer(images.flatten(1))


GROUP = models.ParameterGroup


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        (lambda layer: None, "parameter_groups() gives None; wanted: a list of models.ParameterGroup"),
        (lambda layer: GROUP((layer.bias,)), "wanted: a list of models.ParameterGroup"),
        (lambda layer: [{"params": [layer.bias], "lr": 0.1}], "wanted: a list of models.ParameterGroup"),
        (lambda layer: [GROUP((layer.bias, layer.bias))], "lists 'layer.bias' 2 times; list each parameter once"),
        (lambda layer: [GROUP((layer.bias,)), GROUP((layer.bias,))], "lists 'layer.bias' 2 times"),
        (lambda layer: [GROUP((nn.Parameter(torch.zeros(1)),))], "is no parameter of the network"),
        (lambda layer: [GROUP(("layer.bias",))], "is no parameter of the network"),
        (lambda layer: [GROUP(layer.bias)], "parameters is a Parameter; give a tuple"),
        (lambda layer: [GROUP(layer.parameters())], "parameters is a generator; give a tuple"),
        (lambda layer: [GROUP((layer.bias,), lr_factor=0.0)], "lr_factor is 0.0; give a finite number above 0"),
        (lambda layer: [GROUP((layer.bias,), lr_factor=math.nan)], "lr_factor is nan"),
        (lambda layer: [GROUP((layer.bias,), lr_factor=math.inf)], "lr_factor is inf"),
        (lambda layer: [GROUP((layer.bias,), warm_up=10)], "warm_up is 10; give a share of the run's epochs, 0 to 1"),
        (lambda layer: [GROUP((layer.bias,), warm_up=-0.1)], "warm_up is -0.1"),
    ],
)
def test_groups_that_make_no_sense_are_said_before_the_first_step(tiny, tmp_path, asks, said):
    models.register("wrong-net", tasks="mnist-scale-28+")(lambda task: Wrong(asks))
    steps = []
    record = execute(one_run(tiny, "wrong-net"), CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, record.failure.kind, steps) == ("failed", "ModelError", [])
    assert said in record.failure.message and record.failure.message.startswith("wrong-net: ")
    assert "\n" not in record.failure.message
