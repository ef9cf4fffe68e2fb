"""One run of several copies of its record, and one measurement of several copies of that.

A folder of records may hold what was copied from other machines. Copies of one run must have given the same answers; they may
differ in time and hardware, and a failed copy does not contradict a finished one. A *contradiction* is named, and takes part in
no mean until somebody who knows which copy is right has moved the others away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from leaderboard.errors import RecordError
from leaderboard.reading.folders import Loaded
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.runs import RunResult, run_of
from leaderboard.records.scale_sweep import ScaleSweep
from leaderboard.records.schema import Record

M = TypeVar("M", Equivariance, ScaleSweep)
NAMES = 3  # of files that agree, before "and N more"
SAME = ("model", "task", "realization", "protocol", "protocol_digest", "smoke", "data_variant", "data_fingerprint")


def choose_run(copies: Sequence[Loaded[RunResult]]) -> RunResult:
    """Of copies of one run the earliest finished ok one.

    Where ok copies differ in their answers, a run without any, of status ``contradictory``. Raises RecordError when records
    share a run id without being of the same run.
    """
    runs = [copy.item for copy in copies]
    if len(runs) == 1:
        return runs[0]
    for name in SAME:
        values = sorted({str(getattr(run, name)) for run in runs})
        if len(values) > 1:
            raise RecordError(
                f"records of run {runs[0].run_id} disagree on {name} ({values[0]!r}, {values[1]!r}), so they are not "
                "copies of one run; keep one of them in the records folder"
            )
    first = min(runs, key=lambda run: (run.status != "ok", run.finished, repr(run), _bytes(run)))
    results = _results(copies)
    if len(results) < 2:
        return first
    return replace(
        first, status="contradictory", test_error=None, test_count=None, best_epoch=None, epochs=None, answers="", wrong=None,
        error_by_scale=(), failure_kind="contradiction", failure_message=f"its copies differ: {'; '.join(results)}",
    )  # fmt: skip


def choose_record(copies: Sequence[Loaded[Record]]) -> Record:
    """Of copies of one run's record the one that counts. Raises RecordError where ok copies differ in their answers."""
    runs = [Loaded(copy.path, copy.name, run_of(copy.item)) for copy in copies]
    chosen = choose_run(runs)
    if chosen.status == "contradictory":
        raise RecordError(f"{note_on(chosen, len(copies))}; give the folder of one: --records DIR")
    return next(copy.item for copy, run in zip(copies, runs, strict=True) if run.item is chosen)


def note_on(run: RunResult, count: int) -> str:
    """A line on a run that was found so many times."""
    found = f"run {run.run_id} was found {count} times"
    if run.status == "contradictory":
        return f"{found} and {run.failure_message}; it is in no mean until the wrong copies are moved away"
    return f"{found}; used: {run.status}, finished {run.finished.isoformat()}"


def choose_measurement(copies: Sequence[Loaded[M]]) -> tuple[M | None, str]:
    """Of copies of one measurement the earliest, None where they differ in the answers they count; and a line on several."""
    first = min((copy.item for copy in copies), key=lambda item: (item.measured, repr(item)))
    if len(copies) == 1:
        return first, ""
    found = f"{first.kind} of {first.model} on {first.task}, {first.name}, was found {len(copies)} times"
    results: defaultdict[str, list[str]] = defaultdict(list)
    for copy in copies:
        results[_answers(copy.item)].append(copy.name)
    if len(results) == 1:
        return first, f"{found}; used: measured {first.measured.isoformat()}"
    told = "; ".join(f"{answers} in {_listed(names)}" for answers, names in sorted(results.items()))
    return None, f"{found} and its copies differ: {told}; it is in no mean until the wrong copies are moved away"


def _answers(item: Equivariance | ScaleSweep) -> str:
    """Its answers. An equivariance error is no answer: its last bits depend on the machine."""
    if isinstance(item, Equivariance):
        return ""
    wrong = ", ".join(f"{at.wrong} of {at.count} at {at.factor:g}" for at in item.factors)
    return f"{item.own_sizes_wrong} wrong of {item.own_sizes_count} ({wrong})"


def _results(copies: Sequence[Loaded[RunResult]]) -> list[str]:
    """Each result that an ok copy gives, with the files that give it."""
    results: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for copy in copies:
        run = copy.item
        if run.status == "ok":
            key = (run.test_error, run.test_count, run.answers, run.error_by_scale)
            results[key].append(copy.name or f"the one finished {run.finished.isoformat()}")
    told = sorted((f"{key[0]:.3f} % of {key[1]} images", _listed(names)) for key, names in results.items())
    alike = len({error for error, _ in told}) < len(told)
    return [f"{error}{' (other images)' if alike else ''} in {names}" for error, names in told]


def _listed(names: Sequence[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")


def _bytes(run: RunResult) -> bytes:
    return b"" if run.wrong is None else run.wrong.tobytes()
