"""Whatever lies in folders of records, a verb that reads leaves every name, every byte and every date as it was."""

import os
import shutil
from functools import partial
from pathlib import Path

import command_line
import pytest
from measurement_factory import make_equivariance, make_repeat, make_scale_sweep
from record_factory import changed
from submissions import TIMINGS, checkout, planned, sound

from leaderboard.records.measurement import write_measurement
from leaderboard.records.store import write_record

MODELS = ("cnn", "sicnn")
RUNS = [run for model in MODELS for run in planned(model, realizations=range(3))]
RUN_ID = RUNS[0].id


def fill(folder):
    """Records of two models, and all that has ever been found among records."""
    for run in RUNS:
        write_record(folder, sound(run, wrong=1000 + 100 * run.realization))
    for place in (folder, folder / "all", folder / "a" / "b" / "c" / "d" / "e"):
        write_measurement(place, make_equivariance())
        write_measurement(place, make_scale_sweep(run_id=RUN_ID, name=RUN_ID))
        write_measurement(place, make_repeat(sound(RUNS[0], wrong=1000)))
        shutil.copytree(
            folder.parent / "records" / TIMINGS.relative_to("records") / "cnn", place / "kept" / "timings" / "t" / "cnn"
        )
        write_record(place / "copied", sound(RUNS[1], wrong=1100))
    write_record(folder / "differs", sound(RUNS[2], wrong=1))
    failure = {"kind": "x", "message": "", "traceback_tail": []}
    write_record(folder / "failed", changed(sound(RUNS[0]), status="failed", metrics=None, failure=failure))
    newer = write_record(folder / "newer", sound(RUNS[3]))
    newer.write_text(newer.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    for number, content in enumerate((b"", b"{", b"\xff\xfe{", b'{"schema_version": 1, "run_id": "x', b"\0" * 99, b"[" * 9999)):
        (folder / f"{RUNS[4].id[:-1]}{number}.json").write_bytes(content)
        (folder / "timings" / "t" / "m").mkdir(parents=True, exist_ok=True)
        (folder / "timings" / "t" / "m" / f"{number}.json").write_bytes(content)
    for name, content in {
        "package.json": "{}", "x.json.unreadable": "{", "x.json.unreadable.2": "{", ".hidden.json": "{", "notes.txt": "",
        "half.json.tmp": "{", "records.json.1.tmp": "{",
    }.items():  # fmt: skip
        (folder / name).write_text(content)
    (folder / "empty").mkdir()
    (folder / "folder.json").mkdir()
    for name, target in {
        "loop": ".",
        "up": "..",
        "nowhere": "gone",
        "nowhere.json": "gone.json",
        "x.json": "package.json",
    }.items():
        (folder / name).symlink_to(target)
    locked = folder / "locked"
    shutil.copytree(folder / "copied" if (folder / "copied").exists() else folder / "all", locked)
    for path in [*locked.rglob("*"), locked]:
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = checkout(tmp_path_factory.mktemp("tree") / "checkout")
    for name in ("results", "records"):
        fill(root / name)
    (root / "my_net.py").write_text(PLUGIN)
    yield root
    for path in root.rglob("locked"):
        path.chmod(0o755)


PLUGIN = """
import models
from models.mnist_net import linear_head, mnist_net
from torch import nn


@models.register("reading-net", tasks="mnist-scale-*")
def net(task):
    raise RuntimeError("built")
"""


def snapshot(root):
    """Of everything below: its kind and rights, when it was changed, and what it holds."""
    found = {}
    for folder, names, files in os.walk(root):
        for path in [Path(folder), *(Path(folder, name) for name in (*names, *files))]:
            at = path.lstat()
            content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[path] = (at.st_mode, at.st_mtime_ns, at.st_size, content)
    return found


BOTH = "--records records --records results"
READING = [
    "leaderboard --output OUT/board.md", "leaderboard --records . --output OUT/all.md", "leaderboard --check",
    f"leaderboard {BOTH} --output OUT/both.md", "leaderboard --json",
    "leaderboard --check --folder docs/board --readme README.md",
    "compare cnn sicnn", f"compare cnn sicnn {BOTH}", "compare cnn nobody", "compare cnn sicnn --json",
    "timings", f"timings {BOTH}", "timings --json", "timings --records .", "timings --output OUT/t.md",
    "list models", "list tasks", "list protocols", "list plans", "list models --json", "list models --plugin my_net.py",
    f"verify nothing {BOTH}", f"verify {RUNS[2].id}", f"verify {RUNS[3].id}x", "verify x --records records --keep OUT --by Me",
    "scale-sweep nothing", f"scale-sweep {RUNS[2].id} --records OUT", "equivariance --run nothing", "equivariance",
    "run --model cnn --task mnist-scale-28 --protocol short --dry-run --device cpu", "run --all --dry-run --device cpu",
    f"run --model cnn --protocol short --dry-run --device cpu {BOTH}", "run --plan report --dry-run --device cpu --anew",
    "submit --dry-run", "submit results --dry-run", f"submit {RUN_ID} --dry-run", "submit --check", "submit nothing",
    "cite sesn-vector", "--version", "doctor", "check nothing",
]  # fmt: skip


@pytest.mark.parametrize("command", READING)
def test_a_verb_that_reads_changes_nothing(tree, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tree)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    before = snapshot(tree)
    call = partial(command_line.call, capsys)
    code, said, errors = call(*command.replace("OUT", str(tmp_path)).split())
    assert snapshot(tree) == before
    assert code in (0, 1, 2) and len(errors) < 60, errors
    assert not [line for line in (*errors, *said.splitlines()) if "unexpected" in line or "Traceback" in line]


def test_the_verbs_that_read_are_all_here():
    verbs = {words.split()[0] for words in READING if not words.startswith("-")}
    writing = {"data", "time", "profile", "pack", "sprint", "new"}  # they make something, in a folder that they are given
    assert verbs | writing | {"completion"} == {name for name in command_line.verbs()}


def test_what_was_left_out_is_a_count_and_three_names(tree, tmp_path, monkeypatch, capsys):
    """Not hundreds of lines: three with the reason, how many more, and how to see all."""
    monkeypatch.chdir(tree)
    monkeypatch.delenv("BENCH_DEBUG", raising=False)
    for words in (["leaderboard", "--output", tmp_path / "b.md"], ["compare", "cnn", "sicnn"], ["timings"]):
        _, _, errors = command_line.call(capsys, *words)
        assert len([line for line in errors if "is left out" in line]) == 3, errors
        assert [line for line in errors if " more like these (" in line and line.endswith("BENCH_DEBUG=1 names each")]
