"""The sprint itself: one step after another, each within its limit, the summary on disk after each, at the end an archive."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench.errors import BenchError
from bench.machine.hardware import describe_hardware
from bench.machine.source import commit
from bench.scheduling.stop import MORE_TO_DO, StopRequest
from bench.sprint import summary
from bench.sprint.archive import ARCHIVE, archive
from bench.sprint.schedule import PACKING, time_limit
from bench.sprint.step import MIN_SECONDS, Step, StepOutcome, run_step
from leaderboard.errors import RecordError


def sprint(folder: Path, steps: Sequence[Step], budget: float, identity: str, stop: StopRequest) -> int:
    """Do the steps within `budget` seconds; 0: all done, 1: a step failed, 75: stopped, or there is more to do.

    `identity`: code and device, of which the results are; "" where an earlier sprint's cannot be taken for these.
    Raises BenchError: the folder cannot be written.
    """
    started, before = time.monotonic(), summary.done_before(folder, identity) if identity else {}
    about = {"identity": identity, "budget_seconds": budget, "started": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
    outcomes: list[StepOutcome] = []
    for index, step in enumerate(steps):
        seconds = time_limit(steps, index, budget, budget - (time.monotonic() - started), PACKING)
        log = folder / "logs" / f"{index + 1}-{re.sub(r'[^a-z0-9]+', '-', step.name.lower())}.log"
        outcomes.append(_outcome(step, seconds, log, before, stop, f"[{index + 1}/{len(steps)}]"))
        try:
            summary.write(folder, about, outcomes)
        except RecordError as error:
            raise BenchError(f"{error}; give another folder: --out DIR") from error
    summary.show(outcomes)
    _pack(folder)
    print(
        f"{time.monotonic() - started:.0f} of {budget:.0f} s; summary: {folder / 'summary.md'}; records: {folder / 'results'}"
    )
    if any(outcome.failed for outcome in outcomes):
        return 1
    return 0 if all(outcome.outcome in summary.DONE for outcome in outcomes) else MORE_TO_DO


def _outcome(
    step: Step, seconds: float, log: Path, before: dict[str, StepOutcome], stop: StopRequest, number: str
) -> StepOutcome:
    if step.name in before and not step.again:
        outcome = replace(before[step.name], outcome="done before")
    elif stop():
        outcome = StepOutcome(step.name, "stopped")
    elif seconds < MIN_SECONDS:
        outcome = StepOutcome(step.name, "not begun: no time left")
    else:
        print(f"{number} {step.name}: at most {seconds:.0f} s; log: {log}", flush=True)
        outcome = run_step(step, seconds, log, stop)
    print(f"{number} {step.name}: {outcome.outcome} in {outcome.seconds:.0f} s; {outcome.finding[:300]}", flush=True)
    return outcome


def _pack(folder: Path) -> None:
    try:
        made, left_out = archive(folder)
    except OSError as error:
        print(f"nothing packed to bring back: {error.strerror or error}; copy {folder} itself")
        return
    size = sum(path.stat().st_size for path in made) / 1e6
    print(f"bring back: {made[0].parent}, {len(made)} files, {size:.1f} MB; unpack: cat {ARCHIVE}* | tar xz")
    if left_out:
        print(f"left out for lack of room: {len(left_out)} files, such as {left_out[0]}")


def identity_of(device: torch.device, protocol: str, tasks: Sequence[str]) -> str:
    """What results depend on, in words; "" where the code has changes that no commit names."""
    found, dirty = commit()
    if found is None or dirty:
        return ""
    return (
        f"{found}, torch {torch.__version__}, {describe_hardware(device).name}, {protocol}, {' '.join(tasks) or 'MNIST-scale'}"
    )
