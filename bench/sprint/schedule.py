"""The steps of a sprint in their order, and how long each may take: its share of the budget, or what all others leave."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.machine.processes import python
from bench.machine.source import ROOT
from bench.sprint import findings
from bench.sprint.step import Command, Step

WINDING_UP = 15.0  # seconds in which `bench run` starts, and ends after its time budget
PACKING = 0.03  # of the budget, kept for the table and the files to bring back
# A cheap model, a usual one, and the one with the most kernels per step.
MODELS = {"mnist-scale": ("cnn", "sesn-scalar", "sevf-vector"), "stl10+": ("cnn", "sesn-b", "sicnn")}
ROUNDS = (("mnist-scale-28", "mnist-scale-28+"), ("mnist-scale-56", "mnist-scale-56+"))  # as the paper's table is wanted


def steps_of(folder: Path, device: str, tasks: Sequence[str], protocol: str) -> list[Step]:
    """The steps. `device`: as torch names it; `tasks`: those of the runs (none: MNIST-scale, small images first)."""
    results, on = folder / "results", ("--device", device)
    cuda = device.startswith("cuda")
    rounds = [tuple(tasks)] if tasks else ROUNDS
    family = "stl10+" if rounds[0][0].startswith("stl10") else "mnist-scale"
    task, (cheap, usual, slowest) = rounds[0][0], MODELS[family]
    trial = python("bench.scheduling.engines.jobs_trial", device, str(results), family)
    timed = tasks or ("mnist-scale-28", "mnist-scale-56")  # what '+' adds is not timed
    return [
        Step("device", [_always(python("bench.sprint.device", device, str(folder)))], 0.06,
             lambda log: findings.device(folder / "device.json"), again=True),
        Step("gpu tests", _tests(), 0.12, findings.tests, ask=signal.SIGINT),
        Step("plain and graphed", _compared(cheap, task, folder, on, cuda), 0.10, lambda log: findings.compared(folder, cuda)),
        Step(f"profile {slowest}", [_profile(slowest, task, folder, on)], 0.05, findings.profile),
        Step(f"profile {usual}", [_profile(usual, task, folder, on)], 0.04, findings.profile),
        *([Step("trial of jobs", [_always(trial)], 0.08, findings.jobs)] if cuda else []),
        Step("runs", [_runs(names, protocol, results, on, cuda) for names in rounds], None,
             lambda log: findings.runs(results), again=True),
        Step("step timings", [_timed(name, results, on) for name in timed], 0.15,
             lambda log: findings.timings(results)),
    ]  # fmt: skip


def time_limit(steps: Sequence[Step], index: int, budget: float, left: float, kept: float) -> float:
    """Seconds for `steps[index]`, of `left` that are left of the budget. `kept`: the share that belongs to no step, at the end.

    Time that earlier steps did not use goes to the step without a share; the last step may have all that is then left.
    """
    later = sum(step.share or 0.0 for step in steps[index + 1 :])
    share = steps[index].share
    if share is None or index == len(steps) - 1:
        return max(0.0, left - budget * (kept + later))
    return max(0.0, min(budget * share, left - budget * kept))


def _always(call: list[str]) -> Command:
    return lambda left: call


def _tests() -> list[Command]:
    if find_spec("pytest") is None or not (ROOT / "tests").is_dir():
        lacking = "pytest is not installed here" if find_spec("pytest") is None else f"{ROOT} has no tests"
        return [_always([sys.executable, "-c", f"print({lacking!r})"])]
    call = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-vv", "--rootdir", str(ROOT)]
    # Only the files that have some: importing the others takes longer than these tests.
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text(encoding="utf-8"))
    call += ["-c", str(ROOT / "pyproject.toml"), *map(str, files or [ROOT / "tests"])]
    return [_always([*call, *(["-n", str(min(4, os.cpu_count() or 1))] if find_spec("xdist") else [])])]


def _compared(model: str, task: str, folder: Path, on: tuple[str, str], cuda: bool) -> list[Command]:
    """On the CPU, which has no graphs, the same run twice."""
    variants = {"plain": ["--no-cuda-graph"] if cuda else [], "graphed" if cuda else "again": []}
    asked = ("run", "--model", model, "--task", task, "--protocol", "quick", *on)
    return [
        _always(python("bench", *asked, *options, "--results", str(folder / "quick" / name)))
        for name, options in variants.items()
    ]


def _profile(model: str, task: str, folder: Path, on: tuple[str, str]) -> Command:
    return _always(python("bench", "profile", model, "--task", task, *on, "--output", str(folder / "profiles")))


def _timed(task: str, results: Path, on: tuple[str, str]) -> Command:
    return _always(python("bench", "time", "--task", task, "--together", *on, "--records", str(results)))


def _runs(tasks: Sequence[str], protocol: str, results: Path, on: tuple[str, str], cuda: bool) -> Command:
    words = [word for task in tasks for word in ("--task", task)]
    jobs = ["--jobs", "auto"] if cuda else []

    def command(left: float) -> list[str]:
        budget = int(left - WINDING_UP)  # it ends by itself, its states saved
        if budget < WINDING_UP:
            return []
        asked = ["--protocol", protocol, "--time-budget", f"{budget}s"]
        return python("bench", "run", *words, *asked, *on, *jobs, "--results", str(results))

    return command
