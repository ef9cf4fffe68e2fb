"""Whatever a legal torch.nn.Module does with its state, its run is stopped and resumed to the bit, or says at once why not."""

import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_runs import CPU, StopAt, metrics, one_run
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import models
from bench.errors import Stopped
from bench.results import remove_checkpoint
from bench.training.run import execute
from bench.training.state.checkpoint import Checkpoint, _state
from bench.training.state.run_state import Progress
from bench.training.state.weights import trained_network
from bench.training.trainer import Watch

NETWORKS = {}


def network(kind):
    def keep(made):
        NETWORKS[kind] = made
        return made

    return keep


@pytest.fixture(autouse=True)
def registered(own_registry):
    """For one test: others walk over all models that there are."""
    for kind, made in NETWORKS.items():
        models.register(f"any-{kind}", tasks="mnist-scale-28+")(lambda task, made=made: made())


class Linear(nn.Module):
    """The simplest of all; what a subclass adds is to matter for the numbers of a run."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images):
        return self.layer(images.flatten(1))


@network("buffer-in-evaluation-mode")
class Expanded(nn.Module):
    """As the convolutions of steerable libraries."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(10, 49) / 7)
        self.register_buffer("basis", torch.randn(49, 784) / 28)

    def train(self, mode=True):
        if mode and hasattr(self, "filter"):
            del self.filter
        elif not mode and not hasattr(self, "filter"):
            self.register_buffer("filter", (self.weights @ self.basis).detach())
        return super().train(mode)

    def forward(self, images):
        return F.linear(images.flatten(1), self.filter if hasattr(self, "filter") else self.weights @ self.basis)


class Extra(Linear):
    """An extra state that goes on changing, and that the answers depend on."""

    def __init__(self):
        super().__init__()
        self.seen = self.first()

    def forward(self, images):
        if self.training:
            self.count()
        return super().forward(images) * (1 + self.number() / 100)

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        self.seen = state


def extra(kind, first, count, number):
    network(f"extra-{kind}")(type(kind, (Extra,), {"first": lambda self: first(), "count": count, "number": number}))


def add_to(key):
    def count(self):
        self.seen[key] += 1

    return count


extra("dict", lambda: {"steps": 0}, add_to("steps"), lambda self: self.seen["steps"])
extra("other-keys", lambda: {1: 0, (2, "x"): None, None: 1j}, add_to(1), lambda self: self.seen[1])
extra("tensor", lambda: torch.zeros(1), add_to(0), lambda self: self.seen.item())
extra(
    "nested",
    lambda: {"a": [torch.zeros(2), {"b": ()}]},
    lambda self: self.seen["a"][0].add_(1),
    lambda self: self.seen["a"][0][1],
)
extra("numpy", lambda: np.zeros(3), add_to(1), lambda self: float(self.seen[1]))
extra("numpy-number", lambda: [np.float32(0)], add_to(0), lambda self: float(self.seen[0]))
extra("counter", Counter, add_to("x"), lambda self: self.seen["x"])
extra("none", lambda: None, lambda self: None, lambda self: 0)
extra("bytes", lambda: b"", lambda self: setattr(self, "seen", self.seen + b"x"), lambda self: len(self.seen))


extra("plain", lambda: [frozenset({1}), range(3), slice(1, 2), b"", 0], add_to(4), lambda self: self.seen[4])


@network("lazy-buffer")
class LazyBuffer(Linear):
    """A buffer, and what belongs to it, made by the first forward pass."""

    def forward(self, images):
        if not hasattr(self, "scale"):
            self.register_buffer("scale", images.abs().mean())
            self.power = 1.5
        if self.training:
            self.scale += 0.01
        return super().forward(images) * self.scale**self.power


@network("buffer-made-in-evaluation")
class MadeInEvaluation(Linear):
    def forward(self, images):
        if not self.training and "level" not in self._buffers:
            self.register_buffer("level", images.mean())
        return super().forward(images) * (2 if "level" in self._buffers else 1)


@network("growing-buffer")
class Growing(Linear):
    """A memory of all batches; another type after the first, and none before."""

    def __init__(self):
        super().__init__()
        self.register_buffer("bank", None)
        self.register_buffer("last", torch.zeros(1, dtype=torch.int64))

    def forward(self, images):
        if self.training:
            mean = images.detach().flatten(1).mean(1)
            self.bank = mean if self.bank is None else torch.cat([self.bank, mean])
            self.last = mean.double()
        return super().forward(images) * (1 + self.bank.mean() + self.last.mean())


@network("shared-growing-buffer")
class SharedGrowing(nn.Module):
    """The same module in two places."""

    def __init__(self):
        super().__init__()
        self.one = Growing()
        self.other = self.one

    def forward(self, images):
        return self.one(images) + self.other(images)


@network("own-generators")
class OwnGenerators(Linear):
    def __init__(self):
        super().__init__()
        self.torch, self.python = torch.Generator().manual_seed(1), random.Random(2)
        self.numpy, self.old, self.twister = (
            np.random.default_rng(3),
            np.random.RandomState(4),
            np.random.Generator(np.random.MT19937(5)),
        )

    def forward(self, images):
        noise = torch.randn(10, generator=self.torch) + self.python.random() + self.numpy.random() + self.old.rand()
        return super().forward(images) + noise * self.twister.random() * self.training


@network("tied")
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode, self.head = nn.Linear(784, 16), nn.Linear(16, 784), nn.Linear(784, 10)
        self.decode.weight = nn.Parameter(torch.randn(784, 16))
        self.again = nn.Linear(784, 16)
        self.again.weight = self.encode.weight

    def forward(self, images):
        return self.head(self.decode(self.encode(images.flatten(1)) + self.again(images.flatten(1))))


@network("parametrized")
def parametrized():
    return nn.Sequential(
        nn.Flatten(),
        parametrizations.spectral_norm(nn.Linear(784, 16)),
        parametrizations.weight_norm(nn.Linear(16, 16)),
        nn.utils.spectral_norm(nn.Linear(16, 10)),
    )


@network("lazy")
def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 5, stride=3), nn.LazyBatchNorm2d(), nn.Dropout(), nn.Flatten(), nn.LazyLinear(10))


@network("hooks")
class Hooks(Linear):
    """Other names in the state dict, and a text."""

    def __init__(self):
        super().__init__()
        self.register_state_dict_post_hook(self.rename)
        self.register_load_state_dict_pre_hook(self.rename_back)

    @staticmethod
    def rename(module, state, prefix, metadata):
        state["text"], state["w"] = "by a hook", state.pop("layer.weight")

    @staticmethod
    def rename_back(module, state, *others):
        assert state.pop("text") == "by a hook"
        state["layer.weight"] = state.pop("w")


@network("without-parameters")
class NoParameters(nn.Module):
    def forward(self, images):
        return F.dropout(images.flatten(1)[:, 300:310], training=self.training)


@network("frozen")
class Frozen(Linear):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


@network("blind")
class Blind(Linear):
    def forward(self, images):
        return self.layer.bias.expand(len(images), 10)


@network("odd-types")
class OddTypes(nn.Module):
    """Complex and integer parameters, sparse and half buffers."""

    def __init__(self):
        super().__init__()
        self.complex = nn.Parameter(torch.randn(10, 784, dtype=torch.cfloat))
        self.places = nn.Parameter(torch.arange(784), requires_grad=False)
        self.register_buffer("sparse", torch.eye(10).to_sparse())
        self.register_buffer("rows", torch.eye(10).to_sparse_csr())
        self.register_buffer("halves", torch.zeros(3, dtype=torch.half))
        self.register_buffer("flag", torch.zeros((), dtype=torch.bool))

    def forward(self, images):
        if self.training:
            self.halves += 0.1
            self.flag.logical_not_()
        out = F.linear(images.flatten(1)[:, self.places].cfloat(), self.complex).abs()
        return (self.sparse @ out.t()).t() * (1 + self.halves.float().mean()) + self.flag


@network("half-outputs")
class HalfOutputs(Linear):
    def forward(self, images):
        return super().forward(images).bfloat16()


@network("returns-nothing")
class ReturnsNothing(Linear):
    def train(self, mode=True):
        super().train(mode)

    def eval(self):
        super().train(False)

    def to(self, *arguments, **others):
        super().to(*arguments, **others)


@network("in-place")
class InPlace(Linear):
    def forward(self, images):
        images.mul_(2).sub_(1)
        return super().forward(images)


@network("built-in-evaluation-mode")
def built_in_evaluation_mode():
    return Expanded().eval()


@network("versioned")
class Versioned(Linear):
    """Takes a state that says no version for an old one, as torch's own modules do."""

    _version = 3

    def _load_from_state_dict(self, state, prefix, metadata, *others):
        if metadata.get("version") is None:
            state[prefix + "layer.weight"] = -state[prefix + "layer.weight"]
        super()._load_from_state_dict(state, prefix, metadata, *others)


@network("scripted")
def scripted():
    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10)))


@network("graph-module")
def graph_module():
    return torch.fx.symbolic_trace(nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)))


@network("in-parallel")
def in_parallel():
    return nn.DataParallel(Linear())


@network("pruned")
def pruned():
    made = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    prune.random_unstructured(made[1], "weight", amount=0.3)
    return made


@network("averaged")
class Averaged(Linear):
    """Answers with the average of its weights, of which it keeps a copy."""

    def __init__(self):
        super().__init__()
        self.average = AveragedModel(self.layer, use_buffers=True)

    def forward(self, images):
        if self.training:
            self.average.update_parameters(self.layer)
            return super().forward(images)
        return self.average(images.flatten(1))


def safetensors_can_hold(kind):
    return not kind.startswith("extra-") and kind not in ("hooks", "odd-types")


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_stopped_and_resumed_to_the_bit(tiny, plugin, tmp_path, kind):
    """In the validation after an epoch, between steps, and in the test."""
    run, said = one_run(tiny, f"any-{kind}"), []
    whole = execute(run, CPU, tmp_path / "whole", Watch(say=said.append))
    assert whole.status == "ok", whole.failure
    for stop in (4, 2, 8):
        with pytest.raises(Stopped):
            execute(run, CPU, tmp_path / "pieces", Watch(should_stop=StopAt(stop), say=said.append))
    pieces = execute(run, CPU, tmp_path / "pieces", Watch(say=said.append))
    assert metrics(pieces) == metrics(whole)
    assert ["safetensors cannot hold" in line for line in said] == ([] if safetensors_can_hold(kind) else [True, True])
    network = trained_network(tmp_path / "pieces", pieces, CPU)
    other = trained_network(tmp_path / "whole", whole, CPU)
    images = torch.rand(5, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(network(images.clone()), other(images.clone()))


def test_the_best_weights_extra_state_is_that_of_its_own_moment(tiny, plugin, tmp_path):
    """Worse with every step, so that the first epoch is the best."""

    class Worse(Extra):
        def first(self):
            return {"steps": 0}

        def count(self):
            self.seen["steps"] += 1

        def number(self):
            return -100 * (self.seen["steps"] > 3) * (1 - self.training)

    models.register("worse-net", tasks="mnist-scale-28+")(lambda task: Worse())
    record = execute(one_run(tiny, "worse-net"), CPU, tmp_path, Watch())
    assert record.metrics.best_epoch == 0
    kept = trained_network(tmp_path, record, CPU)
    assert kept.seen == {"steps": 3}
    assert {answer for _, answer in record.metrics.wrong_answers} != {0}  # as zeros answer


def test_a_state_from_before_todays_fields_is_resumed(tiny, plugin, tmp_path):
    run, steps = one_run(tiny), []
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(6)))
    checkpoint = Checkpoint(tmp_path, run.id)
    state = _state(checkpoint.path.read_bytes())
    del state["progress"]["form"], state["random"]["own"]
    state["progress"]["others_shares"] = [0.25] * len(state["progress"].pop("background_load"))
    assert state["progress"]["others_shares"]
    assert Progress.from_state(state["progress"]).background_load == state["progress"]["others_shares"]
    checkpoint._write(lambda file: torch.save(state, file))
    record = execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (metrics(record), steps[0]) == (metrics(whole), (1, 2))


class Foreign:
    """No type that is read from a file."""


class Holds(Linear):
    def get_extra_state(self):
        return {"x": Foreign()}

    def set_extra_state(self, state):
        pass


class Forgets(Linear):
    count = 0

    def forward(self, images):
        self.count += 1
        return super().forward(images)

    def get_extra_state(self):
        return {"x": self.count}

    def set_extra_state(self, state):
        pass


class CannotSet(Linear):
    def get_extra_state(self):
        return 1


class LateParameter(Linear):
    def forward(self, images):
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(10))
        return super().forward(images) * self.scale


class Replaces(Linear):
    def eval(self):
        self.layer.weight = nn.Parameter(self.layer.weight.detach().clone())
        return super().eval()


ONE = nn.Linear(784, 10)


class OneForAll(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = ONE

    def forward(self, images):
        return self.layer(images.flatten(1))


class Renames(Linear):
    def __init__(self):
        super().__init__()
        self.register_state_dict_post_hook(Hooks.rename)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Holds, "'_extra_state', what cannot be stored .dict: a test_any_module.Foreign in it"),
        (Forgets, "'_extra_state' is another one after it was stored"),
        (CannotSet, "does not take its own state back: RuntimeError"),
        (LateParameter, "makes parameters or puts others in their place"),
        (Replaces, "makes parameters or puts others in their place"),
        (OneForAll, "its builder gives the same parameters again and again"),
        (Renames, "does not take its own state back: RuntimeError"),
    ],
)
def test_what_cannot_be_resumed_is_refused_before_the_first_step(tiny, plugin, tmp_path, made, why):
    name, steps = f"refused-{made.__name__.lower()}", []
    models.register(name, tasks="mnist-scale-28+")(lambda task: made())
    record = execute(one_run(tiny, name), CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at)))
    assert (record.status, record.failure.kind, steps) == ("failed", "ModelError", [])
    assert len(record.failure.message.splitlines()) == 1
    assert re.search(why, record.failure.message), record.failure.message
    assert name in record.failure.message


def test_what_is_kept_outside_of_the_state_dict_is_said(tiny, plugin, tmp_path):
    class Outside(Linear):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return super().forward(images) * self.calls

    models.register("outside-net", tasks="mnist-scale-28+")(lambda task: Outside())
    said = []
    assert execute(one_run(tiny, "outside-net"), CPU, tmp_path, Watch(say=said.append)).status == "ok"
    assert len(said) == 1 and "outside of its state dict" in said[0]


WIDTHS = {}


@pytest.mark.parametrize(
    ("changed", "why"), [("width", r"'1\.weight' is \(16, 784\) there and \(17, 784\) here"), ("buffer", "'4.new'")]
)
def test_a_state_of_another_network_is_kept(tiny, plugin, tmp_path, changed, why):
    def build(task):
        made = nn.Sequential(
            nn.Flatten(), nn.Linear(784, WIDTHS["width"]), nn.ReLU(), nn.Linear(WIDTHS["width"], 10), nn.Identity()
        )
        if WIDTHS["buffer"]:
            made[4].register_buffer("new", torch.zeros(3))
        return made

    name = f"changes-{changed}"
    models.register(name, tasks="mnist-scale-28+")(build)
    WIDTHS.update(width=16, buffer=False)
    run, said, steps = one_run(tiny, name), [], []
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(7)))
    checkpoint = Checkpoint(tmp_path, run.id)
    states = {path.read_bytes() for path in checkpoint.newest_first()}
    WIDTHS.update(**{changed: 17})
    assert execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at), say=said.append)).status == "ok"
    assert steps[0] == (0, 0)
    assert len(said) == 2 and all("is of another network than this one" in line and "kept as" in line for line in said)
    assert re.search(why, said[0])
    remove_checkpoint(tmp_path, run.id)
    assert {path.read_bytes() for path in checkpoint.path.parent.iterdir()} == states


def test_a_file_that_cannot_be_read_now_is_not_given_up(tiny, plugin, tmp_path, monkeypatch):
    run = one_run(tiny)
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(5)))
    checkpoint = Checkpoint(tmp_path, run.id)
    before = checkpoint.path.read_bytes()

    def fails(self):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(type(checkpoint.path), "read_bytes", fails)
        record = execute(run, CPU, tmp_path, Watch())
    assert record.status == "failed" and "Input/output error" in record.failure.message
    assert checkpoint.path.read_bytes() == before
