"""Options that name tasks and protocols may be given again, as in the verbs beside."""

import json

import pytest
from command_line import call
from record_factory import make_record

import datasets
import models
from leaderboard.records.store import write_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for task in ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56"):
        for protocol in ("paper", "short"):
            for model, wrong in (("a", 20), ("b", 30)):
                write_record(root, make_record(model, task, protocol=protocol, wrong=wrong))
    return root


@pytest.mark.parametrize(
    ("words", "tasks", "protocols"),
    [
        ([], 3, 2),
        (["--task", "mnist-scale-28"], 1, 2),
        (["--task", "mnist-scale-28", "--task", "mnist-scale-56", "--protocol", "paper"], 2, 1),
        (["--protocol", "short", "--protocol", "paper"], 3, 2),
    ],
)
def test_compare(capsys, folder, words, tasks, protocols):
    code, said, _ = call(capsys, "compare", "a", "b", "--records", folder, "--json", *words)
    tables = json.loads(said)["tables"]
    assert code == 0 and len(tables) == tasks * protocols
    assert (len({table["task"] for table in tables}), len({table["protocol"] for table in tables})) == (tasks, protocols)


def test_compare_names_what_there_is_not(capsys, folder):
    code, _, (error,) = call(capsys, "compare", "a", "b", "--records", folder, "--task", "mnist-scale-28", "--task", "x")
    assert code == 2 and "no records of task 'x'" in error


def test_list(capsys):
    code, said, _ = call(capsys, "list", "models", "--json", "--task", "mnist-scale-56", "--task", "stl10*")
    names = {model["name"] for model in json.loads(said)["models"]}
    assert code == 0 and names == {*models.list_models("mnist-scale-56"), *models.list_models("stl10+")}
    code, _, (error,) = call(capsys, "list", "models", "--task", "mnist-scale-2")
    assert code == 2 and "did you mean 'mnist-scale-28'" in error


def test_data(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "prepare", lambda tasks, *_, **__: asked.append(tasks))
    monkeypatch.setattr(datasets, "load", lambda *_, **__: None)
    assert call(capsys, "data", "--task", "mnist-scale-56", "--task", "stl10+", "--realizations", "0")[0] == 0
    assert asked == [["mnist-scale-56"], ["stl10+"]]
