"""Steps as CUDA graphs: the same run, and a step that is no graph is found out. On the CPU a capture is imitated."""

from contextlib import nullcontext

import numpy
import pytest
import torch
from tiny_runs import CPU, one_run
from torch import nn

from bench.training import captured_steps, graphs
from bench.training.captured_steps import Steps
from bench.training.data import Epoch, load_split
from bench.training.run import execute
from bench.training.state.randomness import seed_all
from bench.training.step import build_network_and_optimizer
from bench.training.trainer import Watch


@pytest.fixture
def imitated(monkeypatch):
    """A capture seen from outside: nothing is computed, and what is returned repeats the step on the same tensors."""
    monkeypatch.setattr(graphs, "_waiting_is_an_error", nullcontext)
    monkeypatch.setattr(graphs, "capture", lambda step, device: step)


def train(run, network=None, *, capture):
    """Two epochs of 80 images; (weights and buffers, the epochs' losses, the steps, what was said)."""
    seed_all(7)
    made, optimizer = build_network_and_optimizer(run, CPU)
    if network is not None:
        made, optimizer = network, torch.optim.Adam(network.parameters(), 0.01)
    said, losses = [], []
    steps = Steps(made.train(), optimizer, run.recipe, CPU, said.append)
    steps.to_capture = capture
    split = load_split(run, "train", CPU)
    for number in range(2):
        seed_all(number)
        epoch = Epoch(split, run.recipe, torch.Generator().manual_seed(number))
        steps.begin_epoch(epoch, number)
        for which in range(len(epoch)):
            steps.step(which)
        losses.append(steps.loss_sum.item())
    return (
        {name: value.clone() for name, value in made.state_dict().items() if isinstance(value, torch.Tensor)},
        losses,
        steps,
        said,
    )


# dropout; running statistics; layers with their own backward
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-scalar"])
def test_it_is_the_same_run(tiny, plugin, imitated, model):
    run = one_run(tiny, model)
    plain, losses, _, _ = train(run, capture=False)
    captured, losses_captured, steps, said = train(run, capture=True)
    assert steps.captured and said == []
    assert sorted(steps._replays) == [16, 32]  # the last batch of 80 images has a graph of its own
    assert losses == losses_captured
    assert all(torch.equal(value, captured[name]) for name, value in plain.items())


def test_a_run_resumed_at_an_epochs_end_is_captured_there(tiny, plugin, imitated):
    """Two steps of three are left, of 32 and of 16 images: a whole batch to try is not among the images that follow."""
    run = one_run(tiny)
    weights = []
    for capture in (False, True):
        seed_all(7)
        network, optimizer = build_network_and_optimizer(run, CPU)
        steps = Steps(network.train(), optimizer, run.recipe, CPU)
        steps.to_capture = capture
        steps.begin_epoch(Epoch(load_split(run, "train", CPU), run.recipe, torch.Generator().manual_seed(0)), 0, step=1)
        for which in (1, 2):
            steps.step(which)
        assert steps.captured is capture
        assert steps.position.item() == 80
        weights.append({name: value.clone() for name, value in network.state_dict().items()})
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


class Peculiar(nn.Module):
    """A network that a graph would not repeat."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls, self.layer = how, 0, nn.Linear(784, 10)
        self.register_buffer("seen", torch.zeros(()))
        self.own, self.extra = torch.Generator(), {"calls": 0}

    def train(self, mode=True):
        if self.how == "replaces a buffer in another mode":
            self.seen = self.seen.clone()
        return super().train(mode)

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state

    def forward(self, images):
        self.calls += 1
        logits = self.layer(images.flatten(1))
        if self.how == "counts its calls":
            return logits * self.calls
        if self.how == "draws":
            return logits + torch.from_numpy(numpy.random.standard_normal(10)).float()
        if self.how == "replaces a buffer":
            self.seen = self.seen + 1
        if self.how == "draws from its own generator":
            return logits + torch.randn(10, generator=self.own)
        if self.how == "counts in its extra state":
            self.extra["calls"] += 1
        return logits * (1 + self.seen)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("draws", "draws random numbers on the host"),
        ("draws from its own generator", "draws random numbers on the host"),
        ("counts in its extra state", "changes its extra state on the host"),
        ("replaces a buffer", "new tensors in the place of its buffers"),
        ("counts its calls", "a replay gives other gradients"),
    ],
)
def test_what_a_graph_would_not_repeat_is_never_replayed(tiny, plugin, imitated, monkeypatch, how, why):
    run = one_run(tiny)

    def frozen(step, device):  # Python's side of a step is done while it is captured, and not again
        def replay():
            network.calls, calls = calls_then, network.calls
            step()
            network.calls = calls

        calls_then = network.calls
        return replay

    monkeypatch.setattr(graphs, "capture", frozen)
    network = Peculiar(how)
    _, _, steps, said = train(run, network, capture=True)
    assert not steps.captured
    assert len(said) == 1 and why in said[0] and "launched kernel by kernel" in said[0]


@pytest.mark.parametrize(("how", "captured"), [("replaces a buffer in another mode", False), ("plainly", True)])
def test_a_graph_is_not_replayed_on_tensors_that_were_replaced(tiny, plugin, imitated, how, captured):
    run, network, said = one_run(tiny), Peculiar(how), []
    steps = Steps(network, torch.optim.Adam(network.parameters(), 0.01), run.recipe, CPU, said.append)
    steps.to_capture = True
    for number in range(2):
        network.eval()
        network.train()
        steps.begin_epoch(Epoch(load_split(run, "train", CPU), run.recipe, torch.Generator().manual_seed(number)), number)
        for which in range(3):
            steps.step(which)
        assert steps.captured is (number == 0 or captured)
    assert len(said) == (not captured) and all("no CUDA graph any more" in line for line in said)


def test_trying_a_capture_leaves_extra_state_and_generators_as_they_were(tiny, plugin, imitated):
    """One that fails, of a network that counts its steps and draws."""

    class Both(Peculiar):
        def forward(self, images):
            self.extra["calls"] += 1
            return super().forward(images)

    plain, tried = Both("draws from its own generator"), Both("draws from its own generator")
    tried.load_state_dict(plain.state_dict())
    tried.extra = dict(plain.extra)
    for network, capture in ((plain, False), (tried, True)):
        train(one_run(tiny), network, capture=capture)
    assert tried.extra == plain.extra == {"calls": 6}
    assert torch.equal(tried.own.get_state(), plain.own.get_state())


@pytest.mark.parametrize("model", ["random-net", "tiny-net"])
def test_a_capture_that_fails_leaves_no_trace(tiny, plugin, imitated, monkeypatch, model):
    run = one_run(tiny, model)
    plain, losses, _, _ = train(run, capture=False)

    def fails(step, device):
        step()
        raise graphs.NotCaptured("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "capture", fails)
    weights, losses_again, steps, said = train(run, capture=True)
    assert not steps.captured and len(said) == 1
    assert losses_again == losses
    assert all(torch.equal(value, weights[name]) for name, value in plain.items())


def test_a_step_that_raises_while_it_is_tried_raises_in_the_run_too(tiny, plugin, imitated):
    class Raises(Peculiar):
        def forward(self, images):
            if self.calls == 1:
                raise RuntimeError("no such luck")
            return super().forward(images)

    with pytest.raises(RuntimeError, match="no such luck"):
        train(one_run(tiny), Raises("plainly"), capture=True)


@pytest.mark.parametrize(("on_cuda", "asked", "parts", "captures"), [(True, None, 1, True), (True, True, 1, True),
    (True, False, 1, False), (True, None, 2, False), (False, None, 1, False)])  # fmt: skip
def test_when_steps_are_captured(tiny, plugin, monkeypatch, on_cuda, asked, parts, captures):
    run = one_run(tiny)
    recipe = run.recipe.model_copy(update={"cuda_graph": asked, "batch_split": parts})
    made_on_cpu = {name: getattr(torch, name) for name in ("zeros", "arange")}
    for name, make in made_on_cpu.items():
        monkeypatch.setattr(captured_steps.torch, name, lambda *a, make=make, device=None, **k: make(*a, **k))
    steps = Steps(*build_network_and_optimizer(run, CPU), recipe, torch.device("cuda" if on_cuda else "cpu"))
    assert steps.to_capture is captures


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-scalar", "sesn-vector", "dss-vector", "sicnn", "sevf-vector"])
def test_on_cuda_it_is_the_same_run_to_the_bit(tiny, plugin, tmp_path, model):
    cuda = torch.device("cuda")
    records = [execute(one_run(tiny, model, cuda_graph=on), cuda, tmp_path / str(on), Watch()) for on in (False, None)]
    assert records[1].metrics is not None, records[1].failure
    assert [record.execution.cuda_graph for record in records] == [False, True]
    assert records[0].metrics == records[1].metrics
