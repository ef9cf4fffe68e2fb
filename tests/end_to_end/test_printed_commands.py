"""What is printed, typed again, does the same: every command that a message names is one that the command line takes."""

import ast
import itertools
import re
import shlex
from pathlib import Path

import pytest
import torch
from command_line import call
from typer.main import get_command

import bench.request
import bench.scheduling.engines.options
import bench.scheduling.session
import datasets
from bench.cli.main import app
from bench.commands import repeat_command
from bench.errors import BenchError
from bench.measure.timing import TimingConfig
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.record import failed_record
from bench.results import weights_path
from bench.training.state.weights import trained_network
from bench.verify import find_record
from leaderboard.records.store import write_record

pytestmark = pytest.mark.usefixtures("own_registry")  # other tests walk over all models that there are
ROOT = Path(__file__).parents[2]
GROUP = get_command(app)
PLUGIN = """
import models


@models.register("{name}", tasks="*")
def build(task):
    raise RuntimeError
"""


def parse(words):
    """The parameters of a command as its verb gets them. Raises whatever the command line raises where it takes none such."""
    if words[:3] == ["python3", "-m", "bench"]:
        words = words[2:]
    assert words[0] == "bench", words
    context = GROUP.make_context("bench", list(words[1:]))
    name, command, rest = GROUP.resolve_command(context, list(words[1:]))
    return name, command.make_context(name, rest, parent=context).params


def command_in(text, before):
    return shlex.split(text.partition(before)[2].splitlines()[0])


# ------------------------------------------------------------------------------------------------------ bench run

CHOICE = {"everything", "model", "task", "plan", "realizations"}  # which runs; what repeats one of them names that one
ONCE = {"time_budget", "dry_run"}  # of the command that was typed, not of a run
OPTIONS = {
    "results": ["--results", "else where/it's"],
    "records": ["--records", "folder", "--records", "my records"],
    "anew": ["--anew"],
    "device": ["--device", "cpu"],
    "protocol": ["--protocol", "my protocol.yaml"],
    "plugin": ["--plugin", "my net.py", "--plugin", "folder/other.py"],
    "batch_split": ["--batch-split", "2"],
    "compiled": ["--compile"],
    "compiled, no": ["--no-compile"],
    "cuda_graph": ["--cuda-graph"],
    "cuda_graph, no": ["--no-cuda-graph"],
    "evaluation_batch": ["--evaluation-batch", "100"],
    "engine": ["--engine", "ray"],
    "jobs": ["--jobs", "2"],
    "jobs, auto": ["--jobs", "auto"],
    "address": ["--engine", "ray", "--address", "ray://host:10001"],
    "gpus_per_run": ["--engine", "ray", "--gpus-per-run", "0.25"],
    "gpus_per_run, none": ["--engine", "slurm", "--gpus-per-run", "0"],
    "slurm": ["--engine", "slurm", "--slurm", "timeout_min=60", "--slurm", "slurm_comment=two words"],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with plugins and a protocol, where runs fail without having been done; the runs asked for so far."""
    asked = []

    def fail(todo, *others):
        asked.append(todo)
        return bench.scheduling.session.Outcome(
            [failed_record(run, torch.device("cpu"), "kind", "message", []) for run in todo], stopped=False
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.scheduling.session, "do_runs", fail)
    for name in ("check_engine", "make_engine"):
        monkeypatch.setattr(bench.scheduling.engines.options, name, lambda *others: None)
    monkeypatch.setattr(bench.request, "check_runs", lambda *others, **more: None)
    for folder in ("folder", "my records"):
        Path(folder).mkdir()
    Path("my net.py").write_text(PLUGIN.format(name=f"printed-{tmp_path.name[-40:]}"))
    Path("folder/other.py").write_text(PLUGIN.format(name=f"other-{tmp_path.name[-40:]}"))
    Path("my protocol.yaml").write_text("extends: quick\nname: mine\nrealizations: [0, 1]\n")
    return asked


def ran(words, capsys):
    """What is printed as the way to repeat each run."""
    code, _, said = call(capsys, *words)
    assert code == 1, said
    return [shlex.split(command) for command in re.findall(r"to repeat: (.*)", "\n".join(said))]


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_printed_repeats_the_run_in_its_place(place, capsys, name):
    words = ["run", "--model", "cnn", "--model", "sesn-*", "--task", "stl10+", *OPTIONS[name]]
    commands, before = ran(words, capsys), parse(["bench", *words])[1]
    runs = place.pop()
    assert len(commands) == len(runs) > 1
    for command, run in zip(commands[:2], runs, strict=False):
        verb, after = parse(command)
        assert verb == "run"
        assert {key: after[key] for key in set(after) - CHOICE - {"protocol"}} == {
            key: before[key] for key in set(before) - CHOICE - {"protocol"}
        }
        assert after["protocol"] == (before["protocol"] or run.protocol.name)
        assert ran(command[1:], capsys) == [command]
        assert [(one.id, one.recipe) for one in place.pop()] == [(run.id, run.recipe)]
        # The record itself is to be carried elsewhere: it says which run, and not where it was done.
        recorded = parse(shlex.split(run.command))[1]
        own = {"protocol", "plugin", "batch_split", "compiled", "cuda_graph", "evaluation_batch"}
        assert {key for key in recorded if recorded[key] != parse(["bench", "run"])[1][key]} <= own | CHOICE


def test_every_option_of_a_run_is_repeated_or_known_not_to_be():
    assert {name.partition(",")[0] for name in OPTIONS} | CHOICE | ONCE == set(parse(["bench", "run"])[1])
    for name, words in OPTIONS.items():
        default, given = parse(["bench", "run"])[1], parse(["bench", "run", *words])[1]
        assert name.partition(",")[0] in {key for key in given if given[key] != default[key]} | {"device"}


def test_what_names_no_run_is_not_repeated(place, capsys):
    (command, *_) = ran(["run", "--all", "--time-budget", "9m", "--realizations", "0-1", "--protocol", "quick"], capsys)
    after = parse(command)[1]
    assert (after["everything"], after["time_budget"], after["realizations"]) == (False, None, "0")


# ------------------------------------------------------------------------------------------------------ other verbs


@pytest.fixture
def failed(tmp_path):
    """A results folder of another name, with the record of a failed run."""
    run = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [1], load_protocol("quick"), ("--protocol", "quick"))[
        0
    ]
    record = failed_record(run, torch.device("cpu"), "kind", "message", [])
    root = tmp_path / "else where"
    write_record(root, record)
    return root, record


def test_verify_names_the_folder_of_the_failed_run(failed):
    root, record = failed
    with pytest.raises(BenchError) as caught:
        find_record([Path("records"), root], record.run_id)
    words = command_in(str(caught.value), "to run it again: ")
    assert words == shlex.split(repeat_command(record, root))
    verb, after = parse(words)
    assert (verb, after["results"], after["realizations"], list(after["model"])) == ("run", root, "1", ["cnn"])


def test_weights_that_are_missing_or_damaged_are_made_where_they_belong(failed):
    root, record = failed
    with pytest.raises(BenchError) as caught:
        trained_network(root, record, torch.device("cpu"))
    assert parse(command_in(str(caught.value), "do it again: "))[1]["results"] == root
    weights_path(root, record.run_id).parent.mkdir()
    weights_path(root, record.run_id).write_bytes(b"damaged")
    with pytest.raises(BenchError) as caught:
        trained_network(root, record, torch.device("cpu"))
    assert parse(command_in(str(caught.value), "do the run again: "))[1]["results"] == root


@pytest.mark.parametrize(("task", "protocol"), [("mnist-scale-28", "short"), (None, "short"), ("stl10+", "stl-100")])
def test_compare_says_how_to_make_what_it_would_read(tmp_path, capsys, task, protocol):
    root = tmp_path / "else where"
    for run in plan_runs([PlanPart(models=["cnn", "sesn-b", "dss*"], tasks=["*"])], [0], load_protocol("quick")):
        write_record(root, failed_record(run, torch.device("cpu"), "kind", "message", []))
    pair = ["cnn", "sesn-b"] if task == "stl10+" else ["cnn", "dss-scalar"]
    (said,) = call(capsys, "compare", *pair, "--records", root, *([] if task is None else ["--task", task]))[2]
    verb, after = parse(command_in(said, "make some with: "))
    assert (verb, list(after["model"]), after["results"], after["protocol"]) == ("run", pair, root, protocol)
    assert list(after["task"]) == ([] if task is None else [task])
    tasks = [task] if task else datasets.MNIST_SCALE
    assert plan_runs([PlanPart(models=pair, tasks=tasks)], [0], load_protocol(protocol))


def test_a_timings_command_asks_for_the_same():
    for extra, plugins in itertools.product(({}, {"repeats": 3, "compile": True, "together": True}), ((), ("my net.py",))):
        config = TimingConfig("cnn", "mnist-scale-28", "cpu", 64, "bf16", plugins=plugins, **extra)
        verb, after = parse(shlex.split(config.command))
        assert (verb, list(after["model"]), list(after["task"])) == ("time", ["cnn"], ["mnist-scale-28"])
        found = {"repeats": after["repeats"], "compile": after["compiled"], "together": after["together"]}
        assert found == {"repeats": config.repeats, "compile": config.compile, "together": config.together}
        assert (after["device"], after["batch_size"], after["precision"]) == ("cpu", 64, "bf16")
        assert tuple(map(str, after["plugin"])) == plugins


# ------------------------------------------------------------------------------------------- commands in the source

VERBS = sorted(GROUP.commands)
NAMED = re.compile(rf"\bbench (?:{'|'.join(VERBS)})\b(?: +(?:'[^']*'|[^\s`'\"();,:|]+))*")


def messages(path):
    """Every string of a file that is not a docstring; a part that is computed stands as X."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    docs = {
        id(node.body[0].value) for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node.value


def named_commands():
    for package in ("bench", "models", "datasets", "leaderboard"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in messages(path):
                yield from ((str(path.relative_to(ROOT)), command.rstrip(".")) for command in NAMED.findall(text))


def test_every_command_that_is_named_is_one():
    found = sorted(set(named_commands()))
    assert len(found) > 5
    wrong = []
    for where, command in found:
        words = shlex.split(re.sub(r"\bX\b(?=$| )", "1", command.partition(" > ")[0]))
        if len(words) == 2:  # a verb alone is its name
            continue
        if "--help" in words:
            words.remove("--help")
        try:
            parse(words)
        except Exception as error:  # the command line's own kinds, which typer keeps to itself
            wrong.append((where, command, repr(error)))
    assert not wrong
