"""The command line as a user meets it: every call is a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from command_line import ROOT, RUN_TINY, bench, call
from tiny import TINY


def records(folder):
    return sorted(path for path in (folder / "results").rglob("*.json"))


def test_help_is_quick_and_needs_no_torch(tmp_path):
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        done = bench(tmp_path, "--help")
        seconds.append(time.perf_counter() - started)
    assert "leaderboard" in done.stdout
    assert min(seconds) < 0.5
    blocked = "import sys; sys.modules['torch'] = None; from bench.cli.main import main; main(['list', 'tasks'])"
    listed = subprocess.run([sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "mnist-scale-28+" in listed.stdout


def test_run_skip_and_rebuild(workplace):
    first = bench(workplace, *RUN_TINY, "--model", "tiny-net", "--task", "mnist-scale-28*")
    assert first.returncode == 0, first.stderr
    assert "2 runs, 0 already done" in first.stdout
    before = {path: path.read_bytes() for path in records(workplace)}
    assert len(before) == 2
    second = bench(workplace, *RUN_TINY, "--model", "tiny-net", "--task", "mnist-scale-28*")
    assert "2 already done, 0 to do" in second.stdout
    assert {path: path.read_bytes() for path in records(workplace)} == before
    board = (workplace / "results" / "LEADERBOARD.md").read_text()
    assert board.count("| `tiny-net` |") == 3  # in the matrix, and in the table of either task
    assert "Smoke test" in board
    built = bench(workplace, "leaderboard", "--records", "results", "--output", "B.md")
    assert (built.returncode, (workplace / "B.md").read_text()) == (0, board)
    assert bench(workplace, "leaderboard", "--records", "results", "--output", "B.md", "--check").returncode == 0
    (workplace / "B.md").write_text(board + " ")
    assert bench(workplace, "leaderboard", "--records", "results", "--output", "B.md", "--check").returncode == 1


@pytest.mark.slow
def test_failed_run_is_recorded_and_the_others_go_on(workplace):
    done = bench(workplace, *RUN_TINY, "--model", "tiny-net", "--model", "raises-net", "--task", "mnist-scale-28")
    assert done.returncode == 1
    assert re.search(r"failed: raises-net_\S+; to repeat: bench run --model raises-net .*--plugin my_net.py", done.stderr)
    assert sorted(json.loads(path.read_text())["status"] for path in records(workplace)) == ["failed", "ok"]
    board = (workplace / "results" / "LEADERBOARD.md").read_text()
    assert "no such luck" in board
    assert "<b>" not in board


def start(folder, *arguments):
    call = [sys.executable, "-m", "bench", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(call, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_interrupted_run_goes_on_and_ends_as_an_undisturbed_one(workplace):
    (workplace / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 12"))
    command = (*RUN_TINY, "--model", "cnn", "--task", "mnist-scale-28")
    process = start(workplace, *command)
    deadline = time.monotonic() + 120
    while not list(workplace.rglob(".checkpoints/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "SIGINT received" in errors
    assert "Traceback" not in errors
    assert not records(workplace)

    spent = bench(workplace, *command, "--time-budget", "0.001s")
    assert spent.returncode == 75
    assert "time budget spent" in spent.stderr
    dry = bench(workplace, *command, "--dry-run")
    assert "begun" in dry.stdout

    assert bench(workplace, *command).returncode == 0
    assert bench(workplace, *command, "--results", "reference").returncode == 0
    whole = json.loads(next((workplace / "reference").rglob("*.json")).read_text())["metrics"]
    assert json.loads(records(workplace)[0].read_text())["metrics"] == whole
    assert not list(workplace.rglob(".checkpoints/*.pt"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "say what to run"),
        (["run", "--al"], "--all"),
        (["run", "--model", "sesn-vektor"], "did you mean 'sesn-vector'"),
        (["run", "--task", "mnist-scale-82"], "did you mean"),
        (["run", "--all", "--protocol", "papre"], "did you mean 'paper'"),
        (["run", "--all", "--protocol", "bad.yaml"], "unknown key `recipes.mnist-scale-*.epochz`"),
        (["run", "--all", "--realizations", "9"], "allowed: 0-5"),
        (["run", "--all", "--device", "tpu"], "--device auto or cpu"),
        (["run", "--all", "--protocol", "quick", "--batch-split", "2"], "add --task stl10+"),
        (["run", "--all", "--batch-split", "0"], "--batch-split"),
        (["run", "--all", "--device", "cpu", "--cuda-graph"], "leave out --cuda-graph"),
        (["run", "--all", "--engine", "raj"], "did you mean 'ray'"),
        (["run", "--all", "--jobs", "0"], "--jobs"),
        (["run", "--all", "--address", "auto"], "--address is for --engine ray"),
        (["run", "--all", "--gpus-per-run", "0.5"], "--gpus-per-run is for --engine ray or slurm"),
        (["run", "--all", "--device", "cuda:99"], "--device auto or cpu"),
        (["run", "--all", "--time-budget", "soon"], "9m"),
        (["run", "--plan", "report", "--all"], "leave out --all"),
        (["run", "--model", "cnn", "--plugin", "explodes.py"], "raised on import: ValueError"),
        (["run", "--model", "cnn", "--results", "a-file/results"], "cannot be written"),
        (["list", "modles"], "did you mean 'models'"),
        (["data", "--realizations", "7"], "allowed: 0-5"),
        (["data", "--test-size", "7"], "50000"),
        (["leaderboard", "--records", "nowhere"], "nowhere"),
        (["leadrboard"], "leadrboard"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(workplace, monkeypatch, capsys, arguments, said):
    (workplace / "bad.yaml").write_text("extends: paper\nname: bad\nrecipes: {mnist-scale-*: {epochz: 3}}\n")
    (workplace / "explodes.py").write_text("raise ValueError('boom')\n")
    (workplace / "a-file").write_text("")
    monkeypatch.chdir(workplace)
    code, _, errors = call(capsys, *arguments)
    assert (code, len(errors)) == (2, 1)
    assert said in errors[0]


@pytest.mark.slow
def test_only_the_run_that_is_done_again_sets_its_damaged_record_aside(workplace):
    command = (*RUN_TINY, "--model", "tiny-net", "--task", "mnist-scale-28")
    assert bench(workplace, *command).returncode == 0
    path = records(workplace)[0]
    whole = path.read_text()
    other = path.with_name(f"{path.stem[:-10]}0123456789.json")  # of a run that is not asked for
    for damaged in (path, other):
        damaged.write_text(whole[:500])
    board = bench(workplace, "leaderboard", "--records", "results")
    assert board.returncode == 1
    assert [name in line for name, line in zip((other.name, path.name), sorted(board.stderr.splitlines()), strict=True)]
    assert path.name in (workplace / "LEADERBOARD.md").read_text()
    assert path.exists() and other.exists()
    again = bench(workplace, *command)
    assert again.returncode == 0
    assert f"kept as {path.name}.unreadable" in again.stderr
    assert path.with_name(path.name + ".unreadable").read_text() == other.read_text() == whole[:500]
    assert json.loads(path.read_text())["metrics"] == json.loads(whole)["metrics"]
    newer = whole.replace('"schema_version": 1', '"schema_version": 2')
    path.write_text(newer)
    left = bench(workplace, *command)
    assert left.returncode == 1 and "is not repeated over it" in left.stderr and "0 to do" in left.stdout
    assert path.read_text() == newer


@pytest.mark.gpu
@pytest.mark.parametrize(("options", "graphed"), [([], True), (["--no-cuda-graph"], False)])
def test_a_run_on_a_gpu_and_its_repetition(workplace, options, graphed):
    """Through the command line, whose process that trains uses CUDA there for the first time."""
    chosen = ["--model", "tiny-net", "--task", "mnist-scale-28+", "--device", "cuda:0", *options]
    done = bench(workplace, "run", "--protocol", "tiny.yaml", "--plugin", "my_net.py", *chosen)
    assert done.returncode == 0, done.stderr
    (path,) = [path for path in records(workplace) if path.parent.name == "tiny-net"]
    record = json.loads(path.read_text())
    assert (record["status"], record["hardware"]["device"]) == ("ok", "cuda")
    assert record["execution"]["cuda_graph"] is graphed
    again = bench(workplace, "verify", path.stem, "--records", "results", "--plugin", "my_net.py", "--device", "cuda:0")
    assert again.returncode == 0 and "agrees bitwise" in again.stdout, again.stdout + again.stderr
