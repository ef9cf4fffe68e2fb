"""How long runs will take, as earlier records tell."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.plan import Run
from leaderboard.reading.folders import read_all
from leaderboard.records.schema import Record

COMMITTED_RECORDS = Path(__file__).resolve().parents[2] / "records"


class Estimates:
    """Median seconds of earlier runs of the same model, task and recipe, on this device where there are any.

    Of a run that had others beside it, what it took of the device: so a sum holds for as many side by side.
    Falls back on other devices' records, then on the runs known so far; None when nothing is known.
    """

    def __init__(self, records: Iterable[Record], device_name: str) -> None:
        self.device_name = device_name
        # By whether it was on this device, model, task and recipe.
        self.samples: dict[tuple[bool, str, str, str], list[float]] = defaultdict(list)
        for record in records:
            self.learn(record)

    def learn(self, record: Record) -> None:
        if record.timings is not None:
            here = record.hardware.name == self.device_name
            jobs = record.execution.jobs if record.execution is not None else 1
            key = here, record.model, record.task, record.protocol.digest
            self.samples[key].append(record.timings.total_seconds / jobs)

    def seconds(self, run: Run) -> float | None:
        """Expected seconds of one run, or None."""
        key = run.model, run.task, run.recipe.digest
        samples = self.samples.get((True, *key)) or self.samples.get((False, *key))
        return statistics.median(samples) if samples else None

    def total(self, runs: Sequence[Run]) -> float | None:
        """Expected seconds of all; runs that nothing is known of count as the mean of the others. None: nothing known."""
        known = [seconds for seconds in map(self.seconds, runs) if seconds is not None]
        return sum(known) / len(known) * len(runs) if known else None

    def covers(self, runs: Sequence[Run]) -> int:
        """How many of the runs have an estimate of their own."""
        return sum(self.seconds(run) is not None for run in runs)


def estimates_from(folders: Iterable[Path], records: Iterable[Record], device_name: str) -> Estimates:
    """Estimates from the records of these folders, and those that came with the suite."""
    known = list(records)
    if COMMITTED_RECORDS.is_dir() and COMMITTED_RECORDS not in [folder.resolve() for folder in folders]:
        known += read_all(COMMITTED_RECORDS)[0]
    return Estimates(known, device_name)


def clock_text(seconds: float | None) -> str:
    """A duration as a person says it: 42 s, 3 min, 1 h 20 min; 'unknown time' for None."""
    if seconds is None:
        return "unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
