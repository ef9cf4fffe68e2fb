"""From runs to tables: which runs may stand in one table, and what each row says. Pure: no clock, no files, no text."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.errors import RecordError
from leaderboard.published import PublishedResult, find
from leaderboard.runs import Run
from leaderboard.statistics import Summary, summarise


@dataclass(frozen=True)
class Pace:
    """Median training seconds per epoch on one hardware; ``shared``: other processes were on the card meanwhile."""

    hardware: str
    seconds: float | None
    shared: bool


@dataclass(frozen=True)
class Row:
    """One model in one table. ``summary`` is None when no run succeeded; ``expected`` is how many runs make it whole."""

    model: str
    summary: Summary | None
    expected: int | None
    parameters: tuple[int, ...]
    paces: tuple[Pace, ...]
    published: PublishedResult | None

    @property
    def difference(self) -> float | None:
        """Our mean minus the published one, in percentage points."""
        return self.summary.mean - self.published.error_mean if self.summary and self.published else None


@dataclass(frozen=True)
class Table:
    """One task under one fully resolved recipe; ``runs`` holds the successful ones, ``failures`` the rest."""

    task: str
    digest: str
    one_of_several: bool
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    failures: tuple[Run, ...]


@dataclass(frozen=True)
class Section:
    """All tables of one protocol name on one data variant. A smoke section's errors compare with nothing."""

    protocol: str
    smoke: bool
    variant: str
    tables: tuple[Table, ...]


def build_sections(runs: Iterable[Run]) -> tuple[Section, ...]:
    """The sections in the board's order: ``paper`` first, then by name, smoke tests last.

    No table mixes recipes (digests) or data variants, and runs of an altered network or of altered images are in none.
    Raises RecordError when two runs of one table used different data for the same realization, or when one realization
    was counted twice for one model.
    """
    groups: defaultdict[tuple[bool, bool, str, str], defaultdict[tuple[str, str], list[Run]]]
    groups = defaultdict(lambda: defaultdict(list))
    for run in (run for run in runs if not run.altered):
        section = (run.smoke, run.protocol != "paper", run.protocol, run.data_variant)
        groups[section][run.task, run.protocol_digest].append(run)
    return tuple(
        Section(protocol, smoke, variant, _tables(tables, with_published=not smoke))
        for (smoke, _, protocol, variant), tables in sorted(groups.items())
    )


def _tables(groups: dict[tuple[str, str], list[Run]], with_published: bool) -> tuple[Table, ...]:
    tasks = [task for task, _ in groups]
    return tuple(
        _table(task, digest, tasks.count(task) > 1, runs, with_published) for (task, digest), runs in sorted(groups.items())
    )


def _table(task: str, digest: str, one_of_several: bool, runs: list[Run], with_published: bool) -> Table:
    runs = sorted(runs, key=lambda run: (run.model, run.realization, run.run_id))
    succeeded = tuple(run for run in runs if run.status == "ok")
    _check_comparable(task, succeeded)
    by_model: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_model[run.model].append(run)
    rows = [_row(task, model, its_runs, with_published) for model, its_runs in by_model.items()]
    rows.sort(key=lambda row: (row.summary is None, row.summary.mean if row.summary else 0.0, row.model))
    failures = tuple(run for run in runs if run.status != "ok")
    return Table(task, digest, one_of_several, tuple(rows), succeeded, failures)


def _check_comparable(task: str, runs: Sequence[Run]) -> None:
    """Every model must have seen the same data under the same realization number, and each of them once."""
    first: dict[int, Run] = {}
    counted: dict[tuple[str, int], Run] = {}
    for run in runs:
        other = first.setdefault(run.realization, run)
        if other.data_fingerprint != run.data_fingerprint:
            raise RecordError(
                f"{task}, realization {run.realization}: run {other.run_id} used data {other.data_fingerprint!r}, run "
                f"{run.run_id} used {run.data_fingerprint!r}; they cannot share a table, move one of the records away"
            )
        twin = counted.setdefault((run.model, run.realization), run)
        if twin is not run:
            raise RecordError(
                f"{task}, {run.model}: runs {twin.run_id} and {run.run_id} are both realization {run.realization} of one "
                "protocol and would count twice; move one of the records away"
            )


def _row(task: str, model: str, runs: list[Run], with_published: bool) -> Row:
    succeeded = [run for run in runs if run.status == "ok"]
    errors = [run.test_error for run in succeeded if run.test_error is not None]
    return Row(
        model=model,
        summary=summarise(errors) if errors else None,
        expected=max((run.expected for run in runs if run.expected is not None), default=None),
        parameters=tuple(sorted({run.parameters for run in succeeded if run.parameters is not None})),
        paces=_paces(succeeded),
        published=(find(task, model) or find(task, model, "reproduction-split")) if with_published else None,
    )


def _paces(runs: list[Run]) -> tuple[Pace, ...]:
    by_hardware: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_hardware[hardware_label(run)].append(run)
    paces = []
    for hardware, its_runs in sorted(by_hardware.items()):
        samples = [seconds for run in its_runs for seconds in run.train_seconds]
        shared = any(run.shared_device and run.train_seconds for run in its_runs)
        paces.append(Pace(hardware, statistics.median(samples) if samples else None, shared))
    return tuple(paces)


def hardware_label(run: Run) -> str:
    """What sets the pace: the card's name, or the processor's with the number of threads."""
    if run.device == "cuda":
        return run.hardware
    return f"{run.hardware}, {run.threads} thread{'' if run.threads == 1 else 's'}"
