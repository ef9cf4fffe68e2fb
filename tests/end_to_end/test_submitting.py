"""`bench submit` as a user meets it: from a results folder into records/ and onto the board, and what a reviewer checks."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import command_line
import pytest
import torch
import yaml
from record_factory import changed
from submissions import COMMIT, ROOT, TIMINGS, checkout, planned, sound
from tiny import TINY

import bench.submit.board
import bench.submit.soundness
from bench.cli.main import main
from bench.errors import BenchError
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.run import execute
from bench.training.trainer import Watch
from leaderboard.records.atomic import write_atomically
from leaderboard.records.store import write_record

THERE = [sound(run, wrong=1000 + 10 * run.realization) for run in planned(realizations=range(2))]
NEW = [sound(run, wrong=1100 + 10 * run.realization) for run in planned(realizations=(2, 3))]


FILES = len(list((ROOT / TIMINGS).rglob("*.json"))) + 4  # in records/, once all is submitted


def snapshot(root):
    """Every name, every file's bytes and when it was changed."""
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in root.rglob("*")
        if ".git" not in path.parts
    }


def git(*words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A checkout whose board is up to date, with a results folder with two new runs."""
    root = checkout(tmp_path_factory.mktemp("prepared") / "checkout", THERE)
    for record in NEW:
        write_record(root / "results", record)
    bench.submit.board.rebuild(root)  # by the processes that users start
    return root


def in_this_process(folder, words):
    """What bench.submit.board._run does in a process of its own, which takes seconds to start."""
    out, err = contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO())
    with contextlib.chdir(folder), out, err as said, pytest.raises(SystemExit) as ended:
        main(list(words))
    if ended.value.code:
        raise BenchError(said.getvalue().strip().splitlines()[-1])


@pytest.fixture
def call(prepared, tmp_path, monkeypatch, capsys):
    """`bench submit` in a copy of it: exit code, output, lines of error output."""
    shutil.copytree(prepared, tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setattr("bench.submit.board._run", in_this_process)
    return partial(command_line.call, capsys, "submit")


def test_new_runs_come_onto_the_board_with_the_text_of_a_request(call):
    code, said, errors = call("--no-verify", "--output", "text.md")
    assert (code, errors[-1]) == (0, "bench: NOTHING WAS REPEATED: nobody has seen these numbers twice")
    assert "added 2 files to records/" in said
    text = Path("text.md").read_text()
    assert text in said and "Records: cnn on mnist-scale-28, short, 2 runs\n" in said
    row = next(line for line in text.splitlines() if line.startswith("| `cnn`")).split(" | ")
    assert row[1:6] == ["`mnist-scale-28`", "`short`", "2, 3", "2.24, 2.26", "2.01 ± 0.01 (n = 2 of 6)"]
    assert row[6] == "2.13 ± 0.14 (n = 4 of 6)" and row[7].startswith("2.56 ± 0.04")
    assert (
        "**Nothing was repeated**" in text and "- [ ] one of the new runs was repeated" in text and f"`{COMMIT[:12]}`" in text
    )
    for record in NEW:
        name = f"short/mnist-scale-28/cnn/{record.run_id}.json"
        assert Path("records", name).read_bytes() == Path("results", name).read_bytes()
    assert "4 of 6" in Path("LEADERBOARD.md").read_text() and "The rest." in Path("README.md").read_text()
    assert call("--check")[:2] == (
        0,
        f"{FILES} files in records/ (not compared with any: --base REF): sound, and the board is theirs\n",
    )
    assert not list(Path().glob(".bench-submit*"))
    code, said, errors = call("--no-verify")
    assert (code, said, errors) == (0, "2 are in records/ already, with the same result\n", ["there is nothing new to submit"])


def test_a_dry_run_says_what_would_be_and_writes_nothing(call):
    before = snapshot(Path())
    code, said, errors = call("--dry-run")
    assert (code, errors) == (0, []) and snapshot(Path()) == before
    assert f"would repeat {min(record.run_id for record in NEW)} and then would add 2 files" in said and "2.13 ± 0.14" in said
    assert call("--dry-run", "--verify", NEW[1].run_id)[1].startswith(f"would repeat {NEW[1].run_id}")


def test_what_is_named_itself_is_taken_or_refused_alone(call):
    assert call(NEW[1].run_id, "--no-verify", "--dry-run")[1].startswith("would add 1 files")
    edited = changed(NEW[0], metrics=NEW[0].metrics.model_dump() | {"best_epoch": 9})
    write_atomically(Path("edited.json"), edited.model_dump_json().encode())
    plugin = changed(NEW[0], source="1" * 64, model="my-net")
    write_record(Path("other"), plugin)
    before = snapshot(Path())
    for words, expected in (
        (["edited.json"], "its best epoch, 9, is none of its 4"),
        (["nothing"], "is no file or folder, and no run in results"),
        (["--verify", "x"], "is none of the new runs"),
        (["--verify", NEW[0].run_id, "--no-verify"], "contradict each other"),
        (["--check", "--rebuild"], "go alone"),
        (["--base", "x"], "--base goes with --check"),
        (["--results", "nowhere"], "there is no folder 'nowhere'"),
        (["--output", "docs", "--no-verify"], "docs is a folder"),
    ):
        code, said, errors = call(*words)
        assert (code, len(errors)) == (2, 1) and expected in errors[0], errors
    code, said, errors = call("other")
    assert code == 1 and "add its file as models/my_net.py" in said and errors == ["there is nothing new to submit"]
    assert snapshot(Path()) == before


@pytest.mark.parametrize("how", ["fails", "Ctrl-C"])
def test_nothing_is_half_done(call, monkeypatch, how):
    def write_board(root):
        (root / "LEADERBOARD.md").unlink()
        if how == "Ctrl-C":
            os.kill(os.getpid(), signal.SIGINT)
        raise BenchError("no room")

    monkeypatch.setattr("bench.submit.board.rebuild", write_board)
    before = {path: it[1] for path, it in snapshot(Path()).items()}
    code, _, errors = call("--no-verify")
    assert code == (75 if how == "Ctrl-C" else 2) and len(errors) == 1
    assert {path: it[1] for path, it in snapshot(Path()).items()} == before


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A results folder with a run of a protocol that is no smoke test and takes a second; the protocol's file."""
    folder = tmp_path_factory.mktemp("trained")
    protocol = folder / "mini.yaml"
    protocol.write_text(TINY.replace("smoke: true", "smoke: false").replace("name: tiny", "name: mini"))
    (run,) = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [0], load_protocol(str(protocol)))
    record = execute(run, torch.device("cpu"), folder / "results", Watch())
    assert record.status == "ok", record.failure
    software = record.software.model_dump() | {"git_commit": COMMIT, "git_dirty": False}
    return write_record(folder / "results", changed(record, software=software)), protocol


@pytest.fixture
def mini(trained, monkeypatch):
    """The protocol is the suite's."""
    monkeypatch.setattr(bench.submit.soundness, "built_in_protocols", lambda: ["mini"])
    monkeypatch.setattr(bench.submit.soundness, "load_protocol", lambda name: load_protocol(str(trained[1])))
    return trained[0]


def test_one_run_is_repeated_and_its_weights_come_along(call, mini):
    code, said, errors = call(str(mini.parents[3]))
    assert (code, errors) == (0, []), errors
    assert f"repeating {mini.stem} on cpu" in said and "agrees bitwise" in said
    assert "- [x] one of the new runs was repeated, and agrees" in said and "weights of 1 run" in said
    weights = Path("records/weights", f"{mini.stem}.safetensors")
    assert weights.read_bytes() == (mini.parents[3] / "weights" / weights.name).read_bytes()
    code, said, errors = call("--check")
    assert code == 0, errors
    weights.write_bytes(b"other")
    code, _, errors = call("--check")
    assert code == 1 and "these are not the weights that a record" in errors[0]


def test_a_run_that_does_not_agree_is_not_submitted(call, mini, tmp_path):
    record = json.loads(mini.read_text())
    record["metrics"]["train_loss_curve"][0] *= 1.5
    write_atomically(tmp_path / "edited.json", json.dumps(record).encode())
    before = snapshot(Path())
    code, said, errors = call(str(tmp_path / "edited.json"))
    assert code == 1 and "not bitwise equal: train_loss_curve" in said and "nothing was submitted" in errors[-1]
    assert snapshot(Path()) == before


# --------------------------------------------------------------------------------------------------------- the reviewer's


@pytest.fixture
def request_(call):
    """A branch with new runs and their board; its base is `main`."""
    Path(".gitignore").write_text("results/\n")
    git("init", "--initial-branch", "main")
    git("add", ".")
    git("commit", "-m", "before")
    git("checkout", "-b", "mine")
    assert call("--no-verify")[0] == 0
    git("add", ".")
    git("commit", "-m", "new runs")
    return call


def test_a_request_that_only_adds_is_fine(request_):
    code, said, errors = request_("--check", "--base", "main")
    assert (code, errors) == (
        0,
        [],
    ) and said == f"{FILES} files in records/, 2 of them new since main: sound, and the board is theirs\n"
    code, _, errors = request_("--check", "--base", "nowhere")
    assert (code, len(errors)) == (2, 1) and "git does not know 'nowhere'" in errors[0]


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


OLD, FRESH = (Path("records/short/mnist-scale-28/cnn", f"{its[0].run_id}.json") for its in (THERE, NEW))
SPOILT = {
    "edited": (lambda: edit(OLD, command="bench run --all"), "records are never edited, moved or deleted (edited)"),
    "deleted": (OLD.unlink, "records are never edited, moved or deleted (deleted)"),
    "a better error": (lambda: edit(FRESH, metrics=THERE[0].metrics.model_dump() | {"best_epoch": 9}), "its best epoch, 9"),
    "of a plugin": (lambda: edit(FRESH, source="1" * 64), "no model of the suite"),
    "elsewhere": (lambda: OLD.rename("records/short/moved.json"), "records/short/moved.json: its place is records/short/mnist"),
    "damaged": (lambda: FRESH.write_text("{"), "truncated or damaged"),
    "foreign": (lambda: Path("records/package.json").write_text("{}"), "it is no record and no measurement of ours"),
    "not JSON": (lambda: Path("records/notes.txt").write_text("hello"), "it is neither JSON nor weights"),
    "a stale board": (lambda: Path("LEADERBOARD.md").write_text(""), "LEADERBOARD.md: stale"),
    "stale timings": (lambda: Path("docs/timings.md").write_text(""), "docs/timings.md: stale"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_a_reviewer_is_told_what_is_wrong(request_, spoil, said):
    spoil()
    git("add", "--all")
    git("commit", "-m", "spoilt")
    code, _, errors = request_("--check", "--base", "main")
    assert code == 1 and any(said in error for error in errors), errors


def test_changes_that_nobody_else_can_see_are_to_be_looked_at(request_):
    edit(FRESH, software=NEW[0].software.model_dump() | {"git_dirty": True})
    _, said, _ = request_("--check", "--base", "main")
    assert said.startswith(f"look: {FRESH}: its code held changes beyond the commit")


# ------------------------------------------------------------------------------------------------------------ the workflows


def commands(name):
    """What a workflow types."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_workflow_types_what_is_tested_here(request_):
    install, check = commands("records.yml")
    assert install == "python -m pip install --editable ."
    words = shlex.split(check.replace('"$BASE"', "main"))
    assert words[0] == "bench" and request_(*words[2:])[0] == 0 and words[1] == "submit"
    assert commands("tests.yml") == ["make test"]
