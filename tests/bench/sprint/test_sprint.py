"""`bench sprint`: limits, failing steps, order, what is on disk after each step, and what is brought back."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pytest

from bench.cli.main import main
from bench.scheduling.stop import MORE_TO_DO, StopRequest
from bench.sprint import findings, schedule, sprint, step
from bench.sprint import summary as summaries
from bench.sprint.archive import archive, valuable
from bench.sprint.schedule import PACKING, steps_of, time_limit
from bench.sprint.step import Step, run_step


def never():
    return False


def python(code):
    return lambda left: [sys.executable, "-c", code]


def last_line(log):
    return log.read_text().splitlines()[-1]


def fake(name, code, share=0.1, **options):
    return Step(name, [python(code)], share, last_line, **options)


SLEEPS = "import time; print('asleep', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(step, "GRACE", 1.0)


def test_a_step_says_what_it_found_and_keeps_a_log(tmp_path):
    outcome = run_step(
        fake("a", "import sys; print('error', file=sys.stderr); print('42 answers')"), 60, tmp_path / "logs/a.log", never
    )
    assert (outcome.outcome, outcome.finding) == ("ok", "42 answers")
    assert "error" in (tmp_path / "logs/a.log").read_text()


@pytest.mark.parametrize(
    ("code", "told"), [("raise SystemExit(3)", "failed: exit code 3"), ("raise SystemExit(75)", "time up")]
)
def test_a_failing_command_does_not_keep_the_next_from_running(tmp_path, code, told):
    both = Step("both", [python(code), python("print('second')")], 0.5, last_line)
    outcome = run_step(both, 60, tmp_path / "a.log", never)
    assert (outcome.outcome, outcome.finding) == (told, "second")
    assert len(outcome.commands) == 2


def test_a_command_that_does_not_exist_is_a_failed_step(tmp_path):
    outcome = run_step(Step("a", [lambda left: ["/no/such/program"]], 0.1, last_line), 60, tmp_path / "a.log", never)
    assert outcome.outcome == "failed: /no/such/program: No such file or directory"


def test_a_command_that_has_too_little_time_is_not_begun(tmp_path):
    both = Step("both", [python("print('first')"), lambda left: [], python("print('third')")], 0.5, last_line)
    outcome = run_step(both, 60, tmp_path / "a.log", never)
    assert (outcome.outcome, outcome.finding, outcome.failed) == ("time up", "first", False)


def test_what_cannot_be_read_is_no_failure(tmp_path):
    def read(log):
        raise KeyError("x")

    outcome = run_step(Step("a", [python("print('no table')")], 0.1, read), 60, tmp_path / "a.log", never)
    assert (outcome.outcome, outcome.finding) == ("ok", "last line: no table")


@pytest.mark.parametrize("code", [SLEEPS, STUBBORN])
def test_a_step_ends_at_its_limit(tmp_path, code):
    started = time.monotonic()
    outcome = run_step(fake("a", code), 2.0, tmp_path / "a.log", never)
    assert outcome.outcome == "time limit" and outcome.finding == "asleep"
    assert 2.0 <= time.monotonic() - started < 2.0 + step.GRACE + 10


def test_a_step_is_told_before_it_is_killed(tmp_path):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
    outcome = run_step(fake("a", code + "time.sleep(600)"), 2.0, tmp_path / "a.log", never)
    assert (outcome.outcome, outcome.finding) == ("time limit", "saved")


def test_tests_cut_off_at_their_limit_still_tell_what_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(step, "GRACE", 120.0)
    (tmp_path / "test_x.py").write_text(
        "import time\ndef test_fails():\n    assert 'so' == 'otherwise'\ndef test_passes(): pass\n"
        f"def test_waits():\n    open({str(tmp_path / 'waits')!r}, 'w')\n    time.sleep(600)\n"
    )
    call = [
        sys.executable,
        "-m",
        "pytest",
        "-vv",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    tests = Step("tests", [lambda left: call], 0.1, findings.tests, ask=signal.SIGINT)

    def stop():  # once the others are done, however long starting took
        text = (tmp_path / "a.log").read_text()
        return (tmp_path / "waits").exists() and " PASSED " in text and " FAILED " in text

    outcome = run_step(tests, 120, tmp_path / "a.log", stop)
    assert outcome.outcome == "stopped"
    assert "AssertionError: assert 'so' == 'otherwise'" in (tmp_path / "a.log").read_text()
    assert outcome.finding.startswith("1 failed, 1 passed")


def test_what_a_step_started_ends_with_it_wherever_it_went(tmp_path):
    """A worker of `bench run` has a session of its own."""
    code = "import subprocess, sys\n"  # and prints its child's number
    code += f"p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True)\n"
    code += f"print(p.pid, flush=True)\n{STUBBORN}"
    run_step(fake("a", code), 3.0, tmp_path / "a.log", never)
    child = int(next(line for line in (tmp_path / "a.log").read_text().splitlines() if line.isdecimal()))
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("its child lives on")


# ------------------------------------------------------------------------------------------------------------- the budget


def shares(*given):
    return [Step(str(number), [], share, last_line) for number, share in enumerate(given)]


def test_a_step_may_use_its_share_and_the_runs_what_the_others_leave():
    steps = shares(0.1, 0.2, None, 0.15)
    assert time_limit(steps, 0, 100, 100, 0.05) == pytest.approx(10)
    assert time_limit(steps, 1, 100, 97, 0.05) == pytest.approx(20)
    assert time_limit(steps, 2, 100, 95, 0.05) == pytest.approx(75)  # less 15 and 5
    assert time_limit(steps, 3, 100, 60, 0.05) == pytest.approx(55)  # the runs were done early


def test_no_step_gets_what_is_not_there():
    steps = shares(0.1, 0.2, None, 0.15)
    assert time_limit(steps, 1, 100, 15, 0.05) == pytest.approx(10)
    assert time_limit(steps, 2, 100, 18, 0.05) == 0
    assert time_limit(steps, 3, 100, 4, 0.05) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_the_steps_come_in_their_order_and_leave_most_for_the_runs(tmp_path, device):
    steps = steps_of(tmp_path, device, [], "paper")
    names = [s.name for s in steps]
    trial = ["trial of jobs"] if device == "cuda:0" else []
    profiles = ["profile sevf-vector", "profile sesn-scalar"]
    assert names == ["device", "gpu tests", "plain and graphed", *profiles, *trial, "runs", "step timings"]
    assert sum(s.share or 0 for s in steps) + PACKING < 0.65
    (runs,) = [s for s in steps if s.share is None]
    calls = [" ".join(command(300.0)) for command in runs.commands]
    assert "--task mnist-scale-28 --task mnist-scale-28+ --protocol paper --time-budget 285s" in calls[0]
    assert "--task mnist-scale-56 --task mnist-scale-56+ --protocol paper" in calls[1]
    assert all(("--jobs auto" in call) == (device == "cuda:0") for call in calls)
    assert [command(29.0) for command in runs.commands] == [[], []]  # what cannot even start is not begun
    way = [" ".join(command(60.0)) for command in steps[2].commands]
    assert ["--no-cuda-graph" in call for call in way] == [device == "cuda:0", False]


def test_other_tasks_bring_models_that_know_them(tmp_path):
    steps = steps_of(tmp_path, "cuda:0", ["stl10+"], "stl-100")
    calls = [" ".join(command(60.0)) for s in steps for command in s.commands]
    assert len([call for call in calls if "mnist" in call]) == 0
    assert len([call for call in calls if "--task stl10+" in call]) == 6  # two quick runs, two profiles, runs, timings
    assert any(call.endswith("stl10+") and "bench.scheduling.engines.jobs_trial" in call for call in calls)


# ------------------------------------------------------------------------------------------------------------- the whole


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def outcomes(folder):
    return {s["name"]: s["outcome"] for s in summary(folder)["steps"]}


def test_a_sprint_goes_on_after_failures_and_leaves_everything(tmp_path, capsys, monkeypatch):
    seen = f"import json; print([s['name'] for s in json.load(open({str(tmp_path / 'summary.json')!r}))['steps']])"
    steps = [
        fake("one", "print('1')"),
        fake("two", "raise SystemExit('broken')"),
        fake("sees", seen),
        fake("slow", SLEEPS, 0.02),
    ]
    monkeypatch.setattr(sprint, "time_limit", lambda steps, index, *rest: 60 if index < 3 else 3)
    assert sprint.sprint(tmp_path, steps, 120, "", StopRequest()) == 1
    assert outcomes(tmp_path) == {"one": "ok", "two": "failed: exit code 1", "sees": "ok", "slow": "time limit"}
    assert summary(tmp_path)["steps"][2]["finding"] == "['one', 'two']"  # on disk before the third began
    printed = capsys.readouterr().out
    assert "broken" in printed and "[4/4] slow" in printed
    assert "| two | failed: exit code 1 |" in (tmp_path / "summary.md").read_text()
    with tarfile.open(tmp_path / "bring-back" / "sprint.tar.gz") as tar:
        assert f"{tmp_path.name}/logs/2-two.log" in tar.getnames()


def test_a_second_sprint_does_not_repeat_what_is_done(tmp_path):
    counts = tmp_path / "counts"
    counting = f"open({str(counts)!r}, 'a').write('{{}}')"
    steps = [
        fake("once", counting.format("o")),
        fake("fails", counting.format("f") + "; raise SystemExit(1)"),
        fake("always", counting.format("a"), again=True),
    ]
    for _ in range(3):
        assert sprint.sprint(tmp_path, steps, 100, "this code", StopRequest()) == 1
    assert sorted(counts.read_text()) == sorted("o" + 3 * "f" + 3 * "a")
    assert outcomes(tmp_path)["once"] == "done before"
    sprint.sprint(tmp_path, steps, 100, "other code", StopRequest())
    sprint.sprint(tmp_path, steps, 100, "", StopRequest())
    assert counts.read_text().count("o") == 3


def test_a_summary_that_cannot_be_read_is_no_obstacle(tmp_path):
    for content in ("", "[]", '{"identity": "x", "steps": [{"no": "step"}]}', '{"identity": "x"}'):
        (tmp_path / "summary.json").write_text(content)
        assert summaries.done_before(tmp_path, "x") == {}


def test_no_time_left_means_not_begun(tmp_path):
    steps = [fake("slow", SLEEPS, 0.9), fake("late", "print(1)", 0.05)]
    assert sprint.sprint(tmp_path, steps, 3.0, "", StopRequest()) == 1
    assert outcomes(tmp_path) == {"slow": "time limit", "late": "not begun: no time left"}


def test_sigterm_ends_the_step_in_hand_and_still_packs(tmp_path):
    code = f"""
import sys
from pathlib import Path
from bench.sprint import sprint
from bench.sprint.step import Step
from bench.scheduling.stop import StopRequest
stop = StopRequest()
stop.listen()
stop.poll_only()
steps = [Step(name, [lambda left: [sys.executable, "-c", {SLEEPS!r}]], 0.4, lambda log: "read") for name in ("one", "two")]
sys.exit(sprint.sprint(Path({str(tmp_path)!r}), steps, 600, "", stop))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    log = tmp_path / "logs" / "1-one.log"
    deadline = time.monotonic() + 120
    while not (log.is_file() and "asleep" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == MORE_TO_DO
    assert outcomes(tmp_path) == {"one": "stopped", "two": "stopped"}
    assert (tmp_path / "bring-back" / "sprint.tar.gz").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--budget", "soon"], "give a number and a unit"),
        (["--budget", "5m", "--task", "cifar"], "unknown task"),
        (["--budget", "5m", "--protocol", "best"], "best"),
        (["--budget", "5m", "--device", "tpu"], "is unavailable here"),
        (["--budget", "5m", "--task", "stl10+", "--protocol", "stl-100x"], "stl-100"),
        ([], "--budget"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        main(["sprint", "--out", str(tmp_path / "out"), *words])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------------- bringing back


def laid(folder, *paths, size=100):
    draw = random.Random(0)
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(draw.randbytes(size))


LAID = (
    "results/.checkpoints/b.pt", "profiles/x.json.gz", "logs/1-a.log", "results/paper/t/m/r.json", "results/.jobs.json",
    "summary.md", "quick/plain/quick/t/m/q.json",
)  # fmt: skip
LEFT = (
    "results/.checkpoints/b.pt.previous", "results/weights/w.pt", "results/.leases/x.lease", "bring-back/old.gz",
    "quick/plain/weights/w.safetensors", "results/.checkpoints/b.pt.7.ab.part", "results/.slurm/pickle.pkl",
)  # fmt: skip


def test_the_most_valuable_comes_first_and_weights_stay(tmp_path):
    laid(tmp_path, *LAID, *LEFT)
    found = [path.relative_to(tmp_path).as_posix() for path in valuable(tmp_path)]
    assert found == [
        "summary.md", "quick/plain/quick/t/m/q.json", "results/.jobs.json", "results/paper/t/m/r.json", "logs/1-a.log",
        "profiles/x.json.gz", "results/.checkpoints/b.pt",
    ]  # fmt: skip


def test_all_in_one_file_where_it_fits(tmp_path):
    laid(tmp_path, *LAID, *LEFT)
    made, left_out = archive(tmp_path)
    assert [path.name for path in made] == ["sprint.tar.gz"] and not left_out
    with tarfile.open(made[0]) as tar:
        assert len(tar.getnames()) == len(LAID)


def test_parts_join_and_are_never_too_many_or_too_large(tmp_path):
    folder = tmp_path / "sprint"
    laid(folder, "results/a.json", "logs/b.log", "profiles/c.json.gz", size=300_000)
    laid(folder, "results/.checkpoints/d.pt", "results/.checkpoints/e.pt", size=200_000)
    made, left_out = archive(folder, part_bytes=200_000, parts=7)
    assert [path.name for path in left_out] == ["e.pt"]
    assert 2 <= len(made) <= 7 and all(path.stat().st_size <= 200_000 for path in made)
    assert sorted(path.name for path in (folder / "bring-back").iterdir()) == [path.name for path in made]
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(f"cat {folder}/bring-back/sprint.tar.gz* | tar xz", shell=True, check=True, cwd=there)
    assert (there / "sprint/logs/b.log").read_bytes() == (folder / "logs/b.log").read_bytes()
    again, _ = archive(folder, part_bytes=200_000, parts=7)
    assert len(again) == len(made)


# ---------------------------------------------------------------------------------------------------------------- reading


def test_pytests_count_is_found(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "$ pytest\n....s\n== short summary ==\nSKIPPED [1] x\n=== 12 passed, 3 skipped, 400 deselected in 41.2s ===\n\n"
    )
    assert findings.tests(log) == "12 passed, 3 skipped, 400 deselected in 41.2s"
    log.write_text("$ pytest\n2 failed, 1 passed in 3.2s\n")
    assert findings.tests(log) == "2 failed, 1 passed in 3.2s"
    log.write_text(
        "$ pytest\n[gw0] [ 10%] PASSED tests/a.py::b \n[gw1] [ 20%] FAILED tests/a.py::c \n[gw1] [ 30%] PASSED tests/d.py::e \n"
    )
    assert findings.tests(log) == "not all: 2 passed, 1 failed"


def test_a_missing_pytest_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "find_spec", lambda name: None)
    tests = steps_of(tmp_path, "cpu", [], "quick")[1]
    assert run_step(tests, 60, tmp_path / "a.log", never).finding == "last line: pytest is not installed here"


def test_the_trials_answer_is_its_last_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("--jobs auto: trying 1, 2, 4, 6 runs side by side on Card\n")
    with pytest.raises(IndexError):
        findings.jobs(log)
    log.write_text(log.read_text() + "--jobs auto: 4 (rounds of steps per second with 1: 3, 2: 5, 4: 9, 6: 9)\n")
    assert findings.jobs(log) == "4 (rounds of steps per second with 1: 3, 2: 5, 4: 9, 6: 9)"


def test_a_profile_is_told_by_its_first_operators(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "$ bench profile\ncnn on mnist-scale-28, cuda:0, float32, batch 128: 2.5 ms a step without the profiler\n"
        f"{'operator':<60} {'self ms':>9} {'share':>6} {'calls':>6}\n"
        f"{'aten::convolution backward':<60} {1.25:>9.2f} {0.5:>6.1%} {4:>6}\n"
        f"{'aten::mm':<60} {0.5:>9.2f} {0.2:>6.1%} {4:>6}\n{'aten::add':<60} {0.25:>9.2f} {0.1:>6.1%} {40:>6}\n"
        f"{'7 others':<60} {0.5:>9.2f} {0.2:>6.1%} {50:>6}\n63 kernels; 98 operator calls; memory high-water 10 MB\n"
    )
    assert (
        findings.profile(log) == "2.5 ms a step, 63 kernels, aten::convolution backward 50.0%, aten::mm 20.0%, aten::add 10.0%"
    )
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:3], lines[-1]]))  # a card whose counters are not to be read
    assert findings.profile(log) == "2.5 ms a step, 63 kernels, no operator was seen"
