"""`bench list`: columns that line up, whatever the names, and the same as JSON."""

import json
import os
import sys

import pytest
from command_line import call
from tiny import PLUGIN

import datasets
import models
from bench.cli.list import _columns
from bench.plan import load_plan
from bench.protocol import built_in_protocols, load_protocol

LONG = """
import models


@models.register("a-name-that-is-longer-than-all", tasks="mnist-scale-28", paper="You, 2027", options={"width": ("8", "16")})
def build(task, width):
    raise NotImplementedError
"""


@pytest.fixture
def plugin(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    return tmp_path / "long.py"


def listed(capsys, what, *words):
    code, said, errors = call(capsys, "list", what, "--json", *words)
    assert (code, errors) == (0, [])
    document = json.loads(said)
    assert list(document) == [what]
    return document[what]


def test_models_with_all_that_is_known_of_them(capsys):
    found = listed(capsys, "models")
    assert [model["name"] for model in found] == [model.name for model in models.infos()]
    for model in found:
        for task in model["tasks"]:
            known = models.info(model["name"], task)
            assert (model["paper"], model["origin"]) == (known.paper, known.origin)
            assert model["options"][task] == {option: list(values) for option, values in known.choices(task).items()}
    vector = next(model for model in found if model["name"] == "sesn-vector")
    assert vector["options"]["mnist-scale-56"]["pool"] == ["max", "average"]  # the default first
    assert vector["plugin"] is vector["source"] is None


def test_models_of_a_task_and_of_a_plugin(capsys, plugin, own_registry):
    found = listed(capsys, "models", "--task", "mnist-scale-28", "--plugin", plugin)
    assert {model["name"] for model in found} == set(models.list_models("mnist-scale-28"))
    (own,) = (model for model in found if model["name"] == "a-name-that-is-longer-than-all")
    assert own["tasks"] == ["mnist-scale-28"] and own["options"]["mnist-scale-28"] == {"width": ["8", "16"]}
    assert own["plugin"].endswith("long.py") and len(own["source"]) == 64


def test_tasks_with_their_images(capsys):
    found = listed(capsys, "tasks")
    assert tuple(task["name"] for task in found) == datasets.TASKS
    assert found[1] == {
        "name": "mnist-scale-28+",
        "image_shape": [1, 28, 28],
        "images": {"train": 10_000, "validation": 2_000, "test": 50_000},
        "augmented": True,
        "realizations": 6,
    }
    assert (found[-1]["image_shape"], found[-1]["images"]) == ([3, 96, 96], {"train": 5_000, "test": 8_000})
    assert not found[0]["augmented"]


def test_protocols_with_the_digest_of_each_recipe(capsys):
    found = listed(capsys, "protocols")
    assert [protocol["name"] for protocol in found] == built_in_protocols()
    for protocol in found:
        known = load_protocol(protocol["name"])
        assert (protocol["summary"], protocol["smoke"]) == (known.summary, known.smoke)
        assert protocol["realizations"] == known.realizations
        for task in datasets.TASKS:
            recipe = known.recipe(task)
            told = protocol["recipes"].get(task)
            assert told == (recipe and {"digest": recipe.digest, "settings": json.loads(json.dumps(recipe.settings))})


def test_plans_with_their_runs(capsys):
    (found,) = listed(capsys, "plans")
    assert found["name"] == "report" and found["realizations"] == [0, 1, 2, 3, 4, 5]
    assert found["runs"] == [part.model_dump() for part in load_plan("report").runs]


def test_columns_line_up_whatever_the_longest_name(capsys, plugin, own_registry):
    code, said, _ = call(capsys, "list", "models", "--plugin", plugin)
    rows = [line for line in said.splitlines() if not line.startswith("  ")]
    assert code == 0 and len(rows) == len(models.infos())
    for model, row in zip(models.infos(), rows, strict=True):
        assert row.index(model.origin) == rows[0].index(models.infos()[0].origin)
        assert row.endswith(model.paper)
    assert "  a-name-that-is-longer-than-all@width=16|8" in said
    assert "  sesn-basis@basis=bspline|fourier-bessel|hermite|log-radial\n" in said


@pytest.mark.parametrize(("width", "indent"), [(45, 4), (60, 13), (70, 13)])
def test_on_a_narrow_terminal_the_last_column_goes_on_below_itself(monkeypatch, width, indent):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 20)))
    rows = [
        ("one", "stl10+", "a paper of very many words, as titles in this field tend to have"),
        ("  one@a=b|c",),
        ("two", "x", "y"),
    ]
    lines = _columns(rows)
    assert max(map(len, lines)) <= width and len(lines) > 3
    assert lines[0].index("a paper") == 13 and lines[1].startswith(" " * indent + lines[1].strip()[0])
    assert " ".join(line.strip() for line in lines).replace("     ", " ").count("titles in this field") == 1


def test_what_is_for_models_alone_is_refused_elsewhere(capsys, tmp_path):
    (tmp_path / "my_net.py").write_text(PLUGIN)
    for words in (["--task", "mnist-scale-28"], ["--plugin", tmp_path / "my_net.py"]):
        code, said, (error,) = call(capsys, "list", "tasks", *words)
        assert (code, said) == (2, "") and "are for models" in error
