"""Which runs may be averaged and compared: on the same data, realization by realization, each counted once."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.errors import RecordError
from leaderboard.records.runs import RunResult


def check_comparable(task: str, runs: Sequence[RunResult]) -> None:
    """Every model must have seen the same data under the same realization number, and each of them once.

    Raises RecordError, naming two runs, when that is not so.
    """
    first: dict[int, RunResult] = {}
    counted: dict[tuple[str, int], RunResult] = {}
    for run in runs:
        other = first.setdefault(run.realization, run)
        if other.data_fingerprint != run.data_fingerprint:
            raise RecordError(
                f"{task}, realization {run.realization}: run {other.run_id} used data {other.data_fingerprint!r}, run "
                f"{run.run_id} used {run.data_fingerprint!r}; they cannot share a table, move one of the records away"
            )
        if other.test_count != run.test_count:
            raise RecordError(
                f"{task}, realization {run.realization}: run {other.run_id} was tested on {other.test_count} images, run "
                f"{run.run_id} on {run.test_count}; they cannot share a table, move one of the records away"
            )
        twin = counted.setdefault((run.model, run.realization), run)
        if twin is not run:
            raise RecordError(
                f"{task}, {run.model}: runs {twin.run_id} and {run.run_id} are both realization {run.realization} of one "
                "protocol and would count twice; move one of the records away"
            )
