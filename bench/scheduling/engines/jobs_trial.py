"""`--jobs auto`: how many runs side by side on one GPU pay, found by a short trial.

Six processes are started once. Each repeats rounds of training steps, one step of each model of a mix, captured as in a run;
the first 1, 2, 4 and 6 of them at a time. Taken is the smallest number whose rounds per second, in sum, are within 3 % of the
best. Run as a program, this file is the trial of the command line `DEVICE RESULTS FAMILY`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from bench.errors import BenchError
from bench.machine.processes import python
from bench.scheduling.messages import WorkerDied
from bench.scheduling.worker import ChildProcess
from leaderboard.errors import RecordError, one_line
from leaderboard.records.atomic import write_atomically

COUNTS = (1, 2, 4, 6)
SECONDS = 2.5  # for each number of processes
CLOSE = 0.97  # of the best rate: fewer processes are better where they do as much
SECONDS_TO_PREPARE = 90.0
ROOM = 1.5  # a run holds its data and large evaluation batches besides what the trial's steps hold
KEPT = ".jobs.json"
PROGRAM = python("bench.scheduling.engines.trial_process")


@dataclass
class Rates:
    """Rounds per second by the number of processes, and what was left out and why."""

    rounds: dict[int, float] = field(default_factory=dict)
    note: str = ""
    complete: bool = False  # whether the trial came to its end: else it is not kept

    @property
    def best(self) -> int:
        """The smallest number that is close to the best; 1 where nothing was measured."""
        most = max(self.rounds.values(), default=0.0)
        return min((count for count, rate in self.rounds.items() if rate >= CLOSE * most), default=1)

    def __str__(self) -> str:
        listed = ", ".join(f"{count}: {rate:.3g}" for count, rate in self.rounds.items())
        return f"{self.best} (rounds of steps per second with {listed or 'none'}{f'; {self.note}' if self.note else ''})"


def jobs_for(
    device: torch.device, results: Path, family: str, mps: bool, stop: Callable[[], bool], say: Callable[[str], None] = print
) -> int:
    """Runs side by side on one GPU, as found before in this results folder, else by a trial, kept there.

    `family`: "mnist-scale" or "stl10+". A trial that fails, or that `stop` ends, is said in one line; it gives
    what it found, or 1.
    """
    name = torch.cuda.get_device_properties(device).name
    key = " | ".join([name, f"torch {torch.__version__}", family, "MPS" if mps else "no MPS"])
    kept = _read(results / KEPT)
    if key in kept:
        rates = Rates(kept[key].rounds, "found before")
    else:
        say(f"--jobs auto: trying {', '.join(map(str, COUNTS))} runs side by side on {name}")
        rates = measure_rates(device, family, stop)
        if rates.complete:
            found = {**kept, key: rates}.items()
            plain = {name: {"jobs": its.best, "rounds": its.rounds, "note": its.note} for name, its in found}
            try:
                write_atomically(results / KEPT, (json.dumps(plain, indent=1) + "\n").encode())
            except RecordError as error:  # the answer holds all the same
                say(str(error))
    say(f"--jobs auto: {rates}")
    return rates.best


def _read(path: Path) -> dict[str, Rates]:
    """What was found before; nothing where it cannot be read or is not of the known form."""
    with suppress(OSError, ValidationError):
        found = TypeAdapter(dict[str, Rates]).validate_json(path.read_bytes())
        return {key: rates for key, rates in found.items() if rates.rounds}
    return {}


def measure_rates(device: torch.device, family: str, stop: Callable[[], bool], program: Sequence[str] = PROGRAM) -> Rates:
    """Start the processes, measure, end them. `program`: another one, for tests."""
    rates = Rates()
    processes: list[ChildProcess] = []
    try:
        for _ in range(max(COUNTS)):
            processes.append(ChildProcess([*program, str(device), family]))
        _measure(processes, rates, stop)
        rates.complete = True
    except BenchError as error:
        rates.note = str(error)
    finally:
        for process in processes:
            process.kill()
    return rates


def _measure(processes: Sequence[ChildProcess], rates: Rates, stop: Callable[[], bool]) -> None:
    """Raises BenchError: a process died or did not answer."""

    def ask(some: Sequence[ChildProcess], what: dict[str, Any]) -> list[dict[str, Any]]:
        for process in some:
            process.send(json.dumps(what))
        return [_answer(process, stop) for process in some]

    (held,) = ask(processes[:1], {"prepare": True})
    fitting, ready = 1 + int(held["free"] / (ROOM * max(1, held["bytes"]))), 1
    for count in COUNTS:
        if count > fitting:
            rates.note = f"the GPU's memory would not hold {count}"
            return
        ask(processes[ready:count], {"prepare": True})
        ready = count
        answers = ask(processes[:count], {"seconds": SECONDS})
        rates.rounds[count] = sum(answer["rounds"] / answer["seconds"] for answer in answers)


def _answer(process: ChildProcess, stop: Callable[[], bool]) -> dict[str, Any]:
    """Raises BenchError: it died, says that it cannot, or says nothing for too long; or the command is to stop."""
    deadline = time.monotonic() + SECONDS_TO_PREPARE
    while not (lines := process.receive()):
        if stop():
            raise BenchError("stopped")
        if time.monotonic() > deadline:
            raise BenchError(f"a process of the trial said nothing in {SECONDS_TO_PREPARE:.0f} s")
        time.sleep(0.02)
    if isinstance(lines[0], WorkerDied):
        raise BenchError("a process of the trial died")
    try:
        said: dict[str, Any] = json.loads(lines[0])
    except ValueError:
        raise BenchError(f"a process of the trial said {one_line(lines[0].decode('utf-8', 'replace'), 100)}") from None
    if "problem" in said:
        raise BenchError(said["problem"])
    return said


if __name__ == "__main__":
    from bench.machine.device import choose_device
    from bench.scheduling.engines.mps import shared_gpu

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the processes and the daemon are to end, too
    with shared_gpu() as through_mps:
        jobs_for(choose_device(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], through_mps, lambda: False)
