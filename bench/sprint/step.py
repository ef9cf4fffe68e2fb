"""A step of a sprint: commands one after another in processes of their own, under one time limit, all they say in one log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.machine.processes import start
from bench.scheduling.stop import MORE_TO_DO
from leaderboard.errors import one_line

GRACE = 10.0  # seconds between being asked to end (SIGTERM) and being killed
MIN_SECONDS = 1.0  # seconds with which no further command is begun
PAUSE = 0.05

# Given the seconds that are left to the step; nothing: these are too few to begin with.
Command = Callable[[float], list[str]]


@dataclass(frozen=True)
class Step:
    """`share`: the part of the budget that it may use; None: what the steps after it leave. `read`: what its log and files say,
    on one line, asked after the step however it ended. `again`: done in every sprint, also where an earlier one did it. `ask`:
    the signal that asks its commands to end."""

    name: str
    commands: Sequence[Command]
    share: float | None
    read: Callable[[Path], str]
    again: bool = False
    ask: signal.Signals = signal.SIGTERM


@dataclass
class StepOutcome:
    """How a step ended: ok, time up (there is more to do), failed: …, time limit, stopped, not begun: …, done before."""

    name: str
    outcome: str
    seconds: float = 0.0
    limit: float = 0.0
    finding: str = ""
    commands: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something is to be looked at."""
        return self.outcome.startswith("failed") or self.outcome == "time limit"


def run_step(step: Step, seconds: float, log: Path, stop: Callable[[], bool]) -> StepOutcome:
    """Do it within so many seconds; every command is tried, whatever became of the one before, and nothing is raised."""
    started, worst = time.monotonic(), "ok"
    outcome = StepOutcome(step.name, worst, limit=seconds)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        for command in step.commands:
            left = seconds - (time.monotonic() - started)
            if left < MIN_SECONDS or stop():
                worst = "stopped" if stop() else _worse(worst, "time limit")
                break
            call = command(left)
            if not call:
                worst = _worse(worst, "time up")
                break
            outcome.commands.append(" ".join(call[call.index("-m") + 1 :] if "-m" in call else call))
            file.write(f"$ {outcome.commands[-1]}\n".encode())
            file.flush()
            worst = _worse(worst, _run(call, left, file.fileno(), stop, step.ask))
    outcome.outcome, outcome.seconds = worst, time.monotonic() - started
    try:
        outcome.finding = step.read(log)
    except Exception:  # a log cut in the middle, a file that is not there: whatever it was, its last line tells most
        outcome.finding = f"last line: {_last_line(log)}"
    return outcome


def lines_of(log: Path) -> list[str]:
    """A log's lines, signs replaced that are none. Raises OSError."""
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def _last_line(log: Path) -> str:
    lines = [line for line in lines_of(log) if line.strip()]
    return one_line(lines[-1]) if lines else "none"


def _worse(one: str, other: str) -> str:
    order = ("ok", "time up", "stopped", "time limit")
    return max(one, other, key=lambda outcome: order.index(outcome) if outcome in order else len(order))


def _run(call: list[str], seconds: float, log: int, stop: Callable[[], bool], ask: signal.Signals) -> str:
    try:  # a session of its own: Ctrl-C comes to this process alone, and all that it starts can be ended together
        process = start(call, stdin=subprocess.DEVNULL, stdout=log, stderr=log, PYTHONUNBUFFERED="1")
    except OSError as error:
        return f"failed: {call[0]}: {error.strerror}"
    deadline = time.monotonic() + seconds
    try:
        while (code := process.poll()) is None:
            if stop() or time.monotonic() >= deadline:
                end(process, ask)
                return "stopped" if stop() else "time limit"
            time.sleep(PAUSE)
    except KeyboardInterrupt:  # a second Ctrl-C: leave nothing running
        end(process, ask)
        raise
    return "ok" if code == 0 else "time up" if code == MORE_TO_DO else f"failed: exit code {code}"


def end(process: subprocess.Popen[bytes], ask: signal.Signals) -> None:
    """Ask the process to end; after a while kill it with its group and with all that it started, which may have
    sessions of their own."""
    started = _descendants(process)
    process.send_signal(ask)  # it alone: it may want to hear its own processes out
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    started |= _descendants(process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for other in started:
        with contextlib.suppress(psutil.Error):
            other.kill()
    process.wait()


def _descendants(process: subprocess.Popen[bytes]) -> set[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return set(psutil.Process(process.pid).children(recursive=True))
    return set()
