"""How fast runs trained: on which hardware, computed in which way, and whether anything else was there to slow them down."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from leaderboard.board.markup import NOTHING
from leaderboard.records.runs import RunResult
from leaderboard.records.schema import ExecutionUsed


@dataclass(frozen=True)
class EpochTime:
    """Median training seconds per epoch on one ``hardware``, computed in one way (``execution``; empty: the plain one).

    From the runs known to have had the device to themselves if there are any (``alone`` True), else from those of which nobody
    knows (None), and only then from those that had not (False).
    """

    hardware: str
    execution: str
    seconds: float | None
    alone: bool | None

    @property
    def label(self) -> str:
        """All that sets the time; times compare where it is equal."""
        return ", ".join(part for part in (self.hardware, self.execution) if part)

    @property
    def shared(self) -> bool:
        """Other processes, or other runs of the same command, were on the device in every run that the time is from."""
        return self.alone is False


def epoch_times_of(runs: Iterable[RunResult]) -> tuple[EpochTime, ...]:
    """One time for each hardware and way of computing, in the order of their names."""
    groups: defaultdict[tuple[str, str], list[RunResult]] = defaultdict(list)
    for run in runs:
        groups[hardware_label(run), ", ".join(_steps(run.execution))].append(run)
    return tuple(_epoch_time(*key, its_runs) for key, its_runs in sorted(groups.items()))


def _epoch_time(hardware: str, execution: str, runs: list[RunResult]) -> EpochTime:
    timed = [run for run in runs if run.train_seconds]
    alone = next((known for known in (True, None, False) if any(run.alone is known for run in timed)), None)
    samples = [seconds for run in timed if run.alone is alone for seconds in run.train_seconds]
    return EpochTime(hardware, execution, statistics.median(samples) if samples else None, alone)


def hardware_label(run: RunResult) -> str:
    """The card's name, or the processor's with the number of threads."""
    if run.device == "cuda":
        return run.hardware
    return f"{run.hardware}, {run.threads} thread{'' if run.threads == 1 else 's'}"


def execution_label(run: RunResult) -> str:
    """How the run was computed, e.g. ``graph, eval 2000, 6 jobs``; a dash for records that do not say."""
    how = run.execution
    if how is None:
        return NOTHING
    jobs = [f"{how.jobs} jobs"] if how.jobs > 1 else []
    return ", ".join([*_steps(how), f"eval {how.evaluation_batch}", *jobs])


def _steps(how: ExecutionUsed | None) -> list[str]:
    """What changes the time of a training step. Before records held it, this was part of the recipe: None is the plain way."""
    if how is None:
        return []
    said = {
        "graph": how.cuda_graph,
        "compiled": how.compile,
        f"batch in {how.batch_split} parts": how.batch_split > 1,
        "channels last": how.channels_last,
    }
    return [text for text, true in said.items() if true]
