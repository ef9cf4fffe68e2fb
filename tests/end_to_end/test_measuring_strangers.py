"""The measuring verbs with networks of every kind of fault: each is one line, the others are measured as if they were alone."""

import json
import sys
from pathlib import Path

import pytest
from command_line import call
from tiny import TINY

import models
from bench.machine.source import name_at_initialisation
from leaderboard.records.store import read_record
from models.registry import catalogue

TASK = "mnist-scale-28"
PLUGIN = """
import sys

import models
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, deed=""):
        super().__init__()
        self.deed, self.layer = deed, nn.Linear(784, 10)

    def forward(self, images):
        if self.deed == "exits":
            sys.exit(0)
        logits = self.layer(images.flatten(1))
        return None if self.deed == "none" else logits


class Silent(Net):
    "Whose own methods forget to return it."

    def train(self, mode=True):
        super().train(mode)

    def eval(self):
        super().eval()

    def to(self, *arguments, **options):
        super().to(*arguments, **options)

    def double(self):
        super().double()


for deed in ("exits", "none"):
    models.register(f"{deed}-net", tasks="mnist-scale-*")(lambda task, deed=deed: Net(deed))
models.register("silent-net", tasks="mnist-scale-*")(lambda task: Silent())


@models.register("a64-net", tasks="mnist-scale-*")
def a64_net(task):
    torch.set_default_dtype(torch.float64)
    nn.init.kaiming_uniform_ = nn.init.zeros_
    print("a model's own words")
    return Net()


@models.register("zz-net", tasks="mnist-scale-*")
def zz_net(task):
    return Net()
"""
RUN = ("run", "--plugin", "strange_nets.py", "--protocol", "tiny.yaml", "--task", TASK, "--device", "cpu")
BROKEN = ("exits-net", "none-net")


@pytest.fixture(autouse=True)
def _a_registry_of_its_own(monkeypatch):
    models.list_models()
    monkeypatch.setattr(catalogue, "_models", list(catalogue._models))
    yield
    for name in [
        name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).endswith("strange_nets.py")
    ]:
        del sys.modules[name]


@pytest.fixture
def strange(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("strange_nets.py").write_text(PLUGIN)
    Path("tiny.yaml").write_text(TINY)


def measured(folder):
    return {path.parent.name: json.loads(path.read_text()) for path in Path(folder).rglob("*.json")}


@pytest.mark.slow
@pytest.mark.usefixtures("strange")
def test_equivariance_of_each_as_if_it_were_alone(capsys):
    asked = ("equivariance", "--plugin", "strange_nets.py", "--task", TASK, "--images", 2)
    names = (*BROKEN, "a64-net", "zz-net")
    code, out, errors = call(capsys, *asked, *(word for name in names for word in ("--model", name)), "--records", "all")
    assert code == 1
    assert [line.split(" on ")[0] for line in errors if "a64" not in line] == [f"bench: measuring {name}" for name in BROKEN]
    assert all("failed: " in line for line in errors)
    assert "zz-net" in measured("all")
    assert "a model's own words" not in out
    assert call(capsys, *asked, "--model", "zz-net", "--records", "alone")[0] == 0
    numbers = [{key: measured(folder)["zz-net"][key] for key in ("network", "changed_answers")} for folder in ("all", "alone")]
    assert numbers[0] == numbers[1]


@pytest.mark.slow
@pytest.mark.usefixtures("strange")
def test_times_of_those_that_work(capsys):
    asked = ("time", "--plugin", "strange_nets.py", "--task", TASK, "--batch-size", 4, "--repeats", 1, "--device", "cpu")
    names = ("--model", "none-net", "--model", "silent-net", "--together")
    code, out, errors = call(capsys, *asked, *names, "--records", "T")
    assert code == 1 and set(measured("T")) == {"silent-net"} and "silent-net" in out
    assert "--together is for built-in models alone" in errors[0]
    assert errors[1].startswith(f"bench: timing none-net on {TASK} failed: the network gives None")


@pytest.mark.usefixtures("strange")
def test_profile_of_one_that_fails(capsys):
    code, _, errors = call(capsys, "profile", "exits-net", "--plugin", "strange_nets.py", "--batch-size", 4, "--device", "cpu")
    assert (code, errors) == (
        2,
        [f"bench: profiling exits-net on {TASK} failed: SystemExit: 0 (strange_nets.py:16: sys.exit(0))"],
    )


@pytest.mark.slow
@pytest.mark.usefixtures("strange")
def test_runs_are_measured_and_verified_each_in_a_process_of_its_own(capsys):
    assert call(capsys, *RUN, "--model", "zz-net", "--model", "silent-net")[0] == 0
    ids = sorted(read_record(path).run_id for path in Path("results/tiny").rglob("*.json"))
    code, out, errors = call(capsys, "scale-sweep", *ids, "--plugin", "strange_nets.py", "--images", 20, "--device", "cpu")
    assert (code, errors) == (0, []) and all(f"{run_id}: error %" in out for run_id in ids)
    code, out, _ = call(capsys, "verify", ids[0], "--records", "results", "--plugin", "strange_nets.py")
    assert (code, "agrees bitwise" in out) == (0, True)
    Path("results/weights", f"{ids[1]}.pt").write_bytes(b"damaged")
    code, _, errors = call(capsys, "equivariance", *(w for one in ids for w in ("--run", one)), "--plugin", "strange_nets.py")
    assert code == 1 and set(measured("results/equivariance")) == {"silent-net"}
    (line,) = errors
    assert line.startswith("bench: measuring zz-net") and "cannot be used" in line


@pytest.mark.usefixtures("strange")
def test_a_run_of_other_code_is_neither_measured_nor_repeated(capsys):
    assert call(capsys, *RUN, "--model", "zz-net")[0] == 0
    (path,) = Path("results/tiny").rglob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "source": "0" * 64}))
    for words in (
        ("scale-sweep", path.stem),
        ("equivariance", "--run", path.stem),
        ("verify", path.stem, "--records", "results"),
    ):
        code, _, errors = call(capsys, *words, "--plugin", "strange_nets.py")
        assert code == 2 and len(errors) == 1 and "is not that of the record, SHA-256 000000000000 then, " in errors[0]


@pytest.mark.usefixtures("strange")
def test_what_was_measured_with_other_code_is_measured_again():
    models.load_plugin("strange_nets.py")
    now = name_at_initialisation("zz-net", TASK, 3)
    assert now == f"initialisation-seed3-{models.info('zz-net', TASK).source[:10]}" and len(now) == 31
    assert name_at_initialisation("cnn", TASK, 3) == "initialisation-seed3"


@pytest.mark.parametrize(
    "arguments",
    [
        ("time", "--model", "cnn", "--task", TASK, "--device", "cpu", "--records"),
        ("equivariance", "--model", "cnn", "--task", TASK, "--records"),
        ("profile", "cnn", "--device", "cpu", "--output"),
    ],
)
@pytest.mark.parametrize("place", ["a-file", "a-file/below", "a-link", "n" * 300, "/proc/nowhere"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, monkeypatch, capsys, arguments, place):
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    Path("a-link").symlink_to("a-file")
    monkeypatch.setattr("bench.measure.isolated.isolated", None)
    code, _, errors = call(capsys, *arguments, place)
    assert (code, len(errors)) == (2, 1)
    assert "cannot be written: " in errors[0] and f"try {arguments[-1]} DIR" in errors[0]
