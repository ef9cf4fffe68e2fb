"""What each step's log and files say, on one line."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from bench.sprint.step import lines_of
from leaderboard.reading.folders import read_all, read_measurements
from leaderboard.records.schema import Record
from leaderboard.records.timing import Timing, quartiles


def device(described: Path) -> str:
    """Name, driver, versions."""
    found: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
    hardware, software = found["hardware"], found["software"]
    words = [hardware["name"], f"driver {hardware['driver']}" if hardware["driver"] else "", f"torch {software['torch']}"]
    words += [f"CUDA {software['cuda']}" if software["cuda"] else "", f"commit {str(software['git_commit'])[:10]}"]
    return ", ".join(filter(None, [*words, *found["notes"]]))


def tests(log: Path) -> str:
    """pytest's own count; where it did not come so far, of the tests that it told of one by one (-vv).

    Raises ValueError: there were none.
    """
    lines = lines_of(log)
    counts = [line.strip("= ") for line in lines if re.search(r"\d+ (passed|failed|skipped|deselected|errors?)\b.* in ", line)]
    if counts:
        return counts[-1]
    told = Counter(found[1].lower() for line in lines if (found := re.search(r"\b(PASSED|FAILED|SKIPPED|ERROR)\b", line)))
    if not told:
        raise ValueError("no tests")
    return f"not all: {', '.join(f'{count} {how}' for how, count in told.items())}"


def compared(folder: Path, cuda: bool) -> str:
    """Seconds of both runs, and whether their curves and answers are the same to the bit."""
    names = ("plain", "graphed" if cuda else "again")
    records = [_newest(folder / "quick" / name) for name in names]
    lacking = [name for name, record in zip(names, records, strict=True) if record is None or record.metrics is None]
    if lacking:
        return f"no result of {' and '.join(lacking)}"
    seconds, metrics = [], []
    for name, record in zip(names, records, strict=True):
        assert record is not None and record.metrics is not None and record.timings is not None
        metrics.append(record.metrics)
        seconds.append(
            f"{name} {record.timings.total_seconds:.1f} s ({record.timings.train_seconds_per_epoch[-1]:.2f} an epoch)"
        )
    parts = ("test_error", "train_loss_curve", "validation_error_curve", "wrong_answers")
    other = [part.replace("_", " ") for part in parts if getattr(metrics[0], part) != getattr(metrics[1], part)]
    return f"{', '.join(seconds)}: " + (f"DIFFERENT {', '.join(other)}" if other else "the same to the bit")


def profile(log: Path) -> str:
    """Milliseconds of a step and the three operators that take longest. Raises StopIteration: there is no table."""
    lines = lines_of(log)
    head = next(number for number, line in enumerate(lines) if line.startswith("operator "))
    step = re.search(r"([\d.]+) ms a step", lines[head - 1])
    rows = (re.match(r"(.{60}) +[\d.]+ +([\d.]+%)", line) for line in lines[head + 1 : head + 4])
    top = [f"{row[1].strip()} {row[2]}" for row in rows if row]  # none where the card's counters are closed to this user
    kernels = next((found[1] for line in lines if (found := re.search(r"(\d+) kernels", line))), None)
    words = [f"{step[1] if step else '?'} ms a step", *([f"{kernels} kernels"] if kernels else [])]
    return ", ".join([*words, *(top or ["no operator was seen"])])


def jobs(log: Path) -> str:
    """The trial's answer. Raises IndexError: there is none."""
    said = [line for line in lines_of(log) if "rounds of steps" in line]
    return said[-1].removeprefix("--jobs auto: ")


def runs(results: Path) -> str:
    """How many, and each model's errors."""
    records, unreadable = read_all(results) if results.is_dir() else ([], [])
    counts = Counter(record.status for record in records)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        if record.metrics is not None:
            errors[record.task, record.model].append(record.metrics.test_error)
    told = [f"{task} {model} {statistics.mean(e):.2f} % ({len(e)})" for (task, model), e in sorted(errors.items())]
    head = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"
    return "; ".join([head, *([f"{len(unreadable)} unreadable"] if unreadable else []), *told])


def timings(results: Path) -> str:
    """Milliseconds of a training step of each model, as a CUDA graph where there is one; the newest of each."""
    timings = sorted(read_measurements(results, Timing)[0], key=lambda timing: timing.measured)
    newest = {(timing.task, timing.model): timing for timing in timings}
    told = []
    for _, timing in sorted(newest.items()):
        plain = 1000 * quartiles(timing.step_seconds).median
        graph = f"/{1000 * quartiles(timing.graph_step_seconds).median:.3g}" if timing.graph_step_seconds else ""
        told.append(f"{timing.task} {timing.model} {plain:.3g}{graph}{' (tainted)' if timing.taints else ''}")
    return f"{len(told)} timings, ms a step{' plain/graphed' if any('/' in t for t in told) else ''}: {'; '.join(told)}"


def _newest(folder: Path) -> Record | None:
    records = read_all(folder)[0] if folder.is_dir() else []
    return max(records, key=lambda record: record.finished, default=None)
