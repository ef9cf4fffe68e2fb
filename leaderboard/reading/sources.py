"""Models that are not the suite's own may change under their name: the board's tables show the latest code alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from leaderboard.records.runs import RunResult


def latest_alone(runs: Iterable[RunResult]) -> list[RunResult]:
    """The runs, those of older code marked as altered, which keeps them off the tables and names them.

    Of one model on one task under one recipe the code of the run that finished last is the latest, whatever became of that run.
    Runs from before records held the code count as code of their own.
    """
    runs = list(runs)
    groups: defaultdict[tuple[str, ...], list[RunResult]] = defaultdict(list)
    for run in runs:
        groups[_row(run)].append(run)
    latest = {row: max(its, key=lambda run: (run.finished, run.source or "")).source for row, its in groups.items()}
    return [run if run.source == latest[_row(run)] else _marked(run, latest[_row(run)]) for run in runs]


def _row(run: RunResult) -> tuple[str, ...]:
    return run.protocol, run.protocol_digest, run.data_variant, run.task, run.model


def _marked(run: RunResult, latest: str | None) -> RunResult:
    why = f"of other code ({_label(run.source)}) than the model's latest ({_label(latest)})"
    return replace(run, altered=", ".join(filter(None, [run.altered, why])))


def _label(source: str | None) -> str:
    return source[:10] if source else "unknown"
