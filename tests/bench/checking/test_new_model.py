"""The file that `bench new` writes: whole, of the right name, for the right tasks, and never over another."""

import ast
from pathlib import Path

import pytest
import torch

import datasets
import models
from bench.checking import process
from bench.checking.names import CHECKS
from bench.checking.new_model import TEMPLATE, check_name, text_for, write_new
from bench.checking.subject import GENERATED, generated
from bench.errors import BenchError
from bench.measure.equivariance import measure
from bench.measure.probe_images import Pictures

TASK = "mnist-scale-28"


@pytest.fixture
def written(no_plugins, tmp_path):
    def write(name="our-net", task="mnist-scale-*"):
        module = check_name(name)
        path = tmp_path / f"{module}.py"
        write_new(path, text_for(name, module, task, path.name))
        return path

    return write


@pytest.mark.parametrize(
    ("task", "tasks"),
    [
        ("mnist-scale-*", ["mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+"]),
        ("mnist-scale-28", ["mnist-scale-28"]),
        ("stl10+", ["stl10+"]),
        ("*", ["mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+", "stl10+"]),
    ],
)
def test_it_registers_a_network_for_every_task_asked_for(written, task, tasks):
    path = written(task=task)
    text = path.read_text()
    assert models.load_plugin(path) and {name for name in models.load_plugin(path)} == {"our-net"}
    assert [one for one in models.info("our-net", tasks[0]).known_tasks if one in tasks]
    assert [one for one in (*models.registry.registration.TASKS,) if _has(one)] == tasks
    assert "my-net" not in text and "my_net" not in text and "# [" not in text and "[mnist]" not in text and "[stl]" not in text
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    assert all(text.count(name) > 1 for name in names - {"annotations"})  # nothing is imported for the other section
    assert max(map(len, text.splitlines())) <= 128


def _has(task):
    return any(model.name == "our-net" and model.supports(task) for model in models.infos())


def test_its_layer_is_scale_equivariant_and_seen(written):
    models.load_plugin(written())
    pictures = Pictures(TASK, generated(TASK, 1), GENERATED)

    def layers(name):
        torch.manual_seed(0)
        network = models.create(name, TASK)
        assert sum(parameter.numel() for parameter in network.parameters()) == 494_549
        return measure(network, pictures).layers[1:]

    ours, plain, sesn = layers("our-net"), layers("cnn"), layers("sesn-vector")
    assert [layer.name for layer in ours] == ["layer 1", "layer 2", "layer 3"]
    for own, of_cnn, of_sesn in zip(ours, plain, sesn, strict=True):
        assert sum(own.scale) < sum(of_cnn.scale) / 2 and sum(own.scale) < 1.5 * sum(of_sesn.scale)
    assert ours[0].translation < 1e-12 and ours[1].translation < 1e-5


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in ("time", "hours")])
def test_it_passes_every_check(written, check, monkeypatch):
    monkeypatch.setattr(datasets, "at_hand", lambda *_: False)
    process._subject.cache_clear()
    models.load_plugin(written())
    finding = process.check(check, "our-net", TASK)
    assert finding["verdict"] == "pass", finding


def test_its_layer_has_about_forty_lines():
    tree = ast.parse(TEMPLATE.read_text())
    own = [node for node in tree.body if getattr(node, "name", "") in ("bumps", "MyConv")]
    assert len(own) == 2 and sum(node.end_lineno - node.lineno + 1 for node in own) <= 45


@pytest.mark.parametrize("name", ["a", "my-net", "x2-y3", "scale-max-net"])
def test_names_that_a_model_may_have(name):
    assert check_name(name) == name.replace("-", "_")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My Net", "try my-net"),
        ("my_net", "try my-net"),
        ("2-net", "try net"),
        ("../x", "try x"),
        ("", "a letter first"),
        ("x" * 61, "a letter first"),
        ("sesn-vector", "'sesn-vector' is a model already (sesn.py:"),
        ("class", "would hide Python's"),
        ("json", "would hide Python's"),
        ("torch", "would hide Python's or an installed package's torch; try my-torch"),
        ("models", "try my-models"),
    ],
)
def test_names_that_it_may_not(name, said):
    with pytest.raises(BenchError) as raised:
        check_name(name)
    assert said in str(raised.value).replace("models/sesn.py", "sesn.py"), raised.value


def test_a_file_that_is_there_stays(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("mine")
    with pytest.raises(BenchError, match=r"mine\.py is there already and is never overwritten"):
        write_new(path, "other")
    (tmp_path / "link.py").symlink_to(tmp_path / "nowhere.py")
    with pytest.raises(BenchError, match="never overwritten"):
        write_new(tmp_path / "link.py", "other")
    with pytest.raises(BenchError, match="cannot be written: No such file"):
        write_new(tmp_path / "no" / "net.py", "other")
    assert path.read_text() == "mine" and not Path(tmp_path / "nowhere.py").exists()
