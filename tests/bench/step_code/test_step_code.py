"""The identity of a model's step: what changes it in the suite's own sources, and what a timing says of it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import models
from bench.machine.source import ROOT
from bench.measure.timed_step import TimedStep
from bench.step_code.identity import LOOKED_INTO, STEP, SourceTree, code_timed, is_source, source_here

TASK = "mnist-scale-28"


def changed(path: str, old: str, new: str) -> SourceTree:
    text = source_here().texts[path]
    assert text.count(old) >= 1, (path, old)
    return SourceTree({**source_here().texts, path: text.replace(old, new)})


def same(tree: SourceTree, model: str, task: str = TASK) -> bool:
    return tree.code_of(model, task) == source_here().code_of(model, task)


def test_every_model_of_the_suite_has_one_of_its_own_on_every_task() -> None:
    pairs = [(model.name, task) for model in models.infos() if not model.source for task in model.known_tasks]
    codes = {pair: source_here().code_of(*pair) for pair in pairs}
    assert len(pairs) > 40 and None not in codes.values()
    for task in ("mnist-scale-28", "stl10+"):
        there = [code for (_, on), code in codes.items() if on == task]
        assert len(set(there)) == len(there)
    assert codes["cnn", "mnist-scale-28"] == codes["cnn", "mnist-scale-56+"] != codes["cnn", "stl10+"]
    assert source_here().code_of("nobody", TASK) is None and source_here().code_of("dss", TASK) is None
    assert source_here().code_of("sesn-vector@pool=average", "mnist-scale-56") == codes["sesn-vector", "mnist-scale-56"]


def test_what_is_looked_into_exists() -> None:
    for module, name in STEP:
        found = source_here().look(module)
        assert found is not None and name in found.binding, (module, name)
    assert all(source_here().look(module) for module in LOOKED_INTO)


def test_a_layer_changes_the_models_that_use_it() -> None:
    tree = changed("models/layers/steerable.py", "return ", "return 1 * ")
    assert not same(tree, "sesn-vector") and same(tree, "cnn") and same(tree, "sicnn")
    tree = changed("models/layers/conv/same.py", "return ", "return 1 * ")
    assert not any(same(tree, model) for model in ("cnn", "sicnn", "sesn-scalar"))


def test_a_network_changes_itself_alone() -> None:
    tree = changed("models/dss.py", "def dss_vector(task: str, upsample", "def dss_vector(task: str, other: int = 0, upsample")
    assert not same(tree, "dss-vector") and same(tree, "dss-scalar") and same(tree, "dss", "stl10+")
    skeleton = changed("models/wide_resnet.py", "(depth - 4) // 6", "(depth - 4) // 7")
    assert same(skeleton, "sesn-vector") and not same(skeleton, "sesn-a", "stl10+") and not same(skeleton, "cnn", "stl10+")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("bench/training/step.py", "loss.backward()", "loss.mean().backward()"),
        ("bench/measure/timer.py", "WARM_UP_SECONDS = 0.5", "WARM_UP_SECONDS = 0.1"),
        ("bench/machine/device.py", "2**26", "2**20"),
        ("bench/protocols/paper.yaml", "name: adam, lr", "name: adamw, lr"),
    ],
)
def test_the_step_and_the_way_it_is_timed_are_part_of_it(path: str, old: str, new: str) -> None:
    assert not same(changed(path, old, new), "cnn")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("bench/training/step.py", "lists what is no parameter", "names what is no parameter"),
        ("bench/training/evaluate.py", "NO_ANSWER = -1", "NO_ANSWER = -2"),
        ("bench/protocols/paper.yaml", "epochs: 60", "epochs: 6"),
        ("models/cnn.py", "arXiv 1910.11093", "arXiv 1910"),
    ],
)
def test_what_takes_no_time_is_not(path: str, old: str, new: str) -> None:
    assert same(changed(path, old, new), "cnn")


def test_a_text_that_is_no_python_has_none() -> None:
    assert changed("models/cnn.py", "def ", "deff ").code_of("cnn", TASK) is None


def test_it_is_the_same_however_it_is_read_and_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from bench.step_code.identity import source_here as s; "
    code += f"print(s().code_of('sesn-vector', {TASK!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == source_here().code_of("sesn-vector", TASK)


def test_what_a_timing_says() -> None:
    said = code_timed("sesn-vector", TASK)
    assert said is not None and said.model == source_here().code_of("sesn-vector", TASK)
    assert said.plain == source_here().code_of("cnn", TASK)
    plain = code_timed("cnn", TASK)
    assert plain is not None and plain.model == plain.plain == said.plain
    assert TimedStep.__module__ in LOOKED_INTO


PLUGIN = """
import models
from models.layers.steerable import SesConv2d as _unused
from torch import nn
import beside
from models.mnist_net import linear_head

@models.register("mine", tasks="mnist-scale-*")
def mine(task):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, beside.OUTPUTS))
"""


def test_a_strangers_model_is_its_files_and_what_they_reach(tmp_path: Path, own_registry: object) -> None:
    plugin, beside = tmp_path / "mine.py", tmp_path / "beside.py"
    plugin.write_text(PLUGIN.replace("from models.layers.steerable import SesConv2d as _unused\n", ""))
    beside.write_text("OUTPUTS = 10\n")
    models.load_plugin(plugin)
    first = code_timed("mine", TASK)
    assert first is not None and first.model != first.plain == source_here().code_of("cnn", TASK)
    info = models.info("mine", TASK)
    beside.write_text("# a comment\nOUTPUTS = 10\n")
    assert code_timed("mine", TASK) == first
    beside.write_text("OUTPUTS = 20 - 10\n")
    assert code_timed("mine", TASK) != first
    assert replace(info).plugin == str(plugin)


def test_which_paths_are_sources() -> None:
    assert (
        is_source("models/layers/conv/same.py")
        and is_source("bench/training/step.py")
        and is_source("bench/protocols/paper.yaml")
    )
    assert not any(
        map(is_source, ["models/registry/plugins.py", "models/reference.py", "bench/plan.py", "models/layers/a.npy"])
    )
