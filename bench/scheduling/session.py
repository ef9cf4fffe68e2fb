"""Doing the runs that are left: data, engine, board."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import datasets
from bench.errors import Stopped
from bench.plan import Run
from bench.results import check_writable
from bench.scheduling.display import Display
from bench.scheduling.engines.options import Engine
from bench.scheduling.estimate import Estimates
from bench.scheduling.stop import StopRequest
from leaderboard.board.files import write_board
from leaderboard.errors import RecordError
from leaderboard.reading.collection import collect
from leaderboard.records.runs import RunResult
from leaderboard.records.schema import Record

Beside = Callable[[Sequence[RunResult]], Iterable[Record]]  # of other folders, given what the results folder has


def no_others(own: Sequence[RunResult]) -> Iterable[Record]:
    """The results folder's runs alone."""
    return ()


@dataclass(frozen=True)
class Outcome:
    """How it ended: the records of runs that went wrong, whether it stopped before the end, the board's runs from elsewhere."""

    bad: list[Record]
    stopped: bool
    from_elsewhere: int = 0


def do_runs(
    todo: Sequence[Run], engine: Engine, results: Path, estimates: Estimates, stop: StopRequest, beside: Beside = no_others
) -> Outcome:
    """Do the runs and leave their records in `results`, and the board of them and of the records `beside` them.

    Raises BenchError: the folder cannot be written; DataError: the data cannot be had; Stopped: before the first run.
    """
    check_writable(results, "--results", "results folder")
    todo = list(todo) if engine.has_own_data else _with_data(todo)
    stop.poll_only()
    bad: list[Record] = []
    stopped, from_elsewhere = False, 0
    with closing(engine.run(todo, estimates, stop, Display(len(todo), deadline=stop.deadline))) as records:
        try:
            bad += (record for record in records if record.status != "ok")
        except Stopped:
            stopped = True
    try:
        collection = collect(results)
        for line in collection.contradictions:
            print(f"bench: {line}", file=sys.stderr)
        whole = collection.with_records(beside(collection.runs))
        from_elsewhere = len(whole.runs) - len(collection.runs)
        write_board(whole, results / "LEADERBOARD.md")
    except RecordError as error:  # the disk is full, say: what went wrong with the runs is still to be told
        if not bad:
            raise
        print(f"bench: {error}", file=sys.stderr)
    return Outcome(bad, stopped, from_elsewhere)


def _with_data(todo: Sequence[Run]) -> list[Run]:
    """Prepare the data and return the runs whose data are there; a line says which tasks are left out.

    Raises DataError: no task's data can be had.
    """
    missing: dict[int, datasets.DataError] = {}
    for test_size in sorted({run.recipe.data.test_size for run in todo}, reverse=True):
        of_this = [run for run in todo if run.recipe.data.test_size == test_size]
        realizations = sorted({run.realization for run in of_this})
        try:
            datasets.prepare(sorted({run.task for run in of_this}), realizations, test_size=test_size)
        except datasets.DataError as error:
            missing[test_size] = error
    ready = [run for run in todo if run.recipe.data.test_size not in missing]
    if missing and not ready:
        raise datasets.DataError("; ".join(dict.fromkeys(map(str, missing.values()))))
    for size, problem in missing.items():
        left_out = [run.task for run in todo if run.recipe.data.test_size == size]
        print(f"bench: {', '.join(dict.fromkeys(left_out))}: {len(left_out)} runs left out: {problem}", file=sys.stderr)
    return ready
