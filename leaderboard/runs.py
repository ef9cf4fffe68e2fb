"""The part of each record that tables need, and one run per run id however many copies of its record there are."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leaderboard.equivariance import Equivariance
from leaderboard.errors import RecordError
from leaderboard.generalisation import Generalisation
from leaderboard.measurements import read_measurements
from leaderboard.records import ExecutionUsed, Record, Unreadable, iterate_records


@dataclass(frozen=True, slots=True)
class Run:
    """A record without its curves and with its wrong answers in a few kilobytes; same units.

    ``wrong``: int32 (number of wrong answers,), the sorted indices in the test split; None where there is no result.

    ``expected`` is how many realizations the protocol asks for, when its recipe says so; ``epochs`` those trained.
    ``altered`` says what about the network or the images is not the task's own; empty: nothing. ``alone``: no other process and
    no other run of its command was on the device; None where nobody knows.
    """

    run_id: str
    status: Literal["ok", "failed", "diverged"]
    model: str
    task: str
    realization: int
    protocol: str
    protocol_digest: str
    smoke: bool
    data_variant: str
    data_fingerprint: str
    test_error: float | None
    test_count: int | None
    best_epoch: int | None
    parameters: int | None
    train_seconds: tuple[float, ...]
    total_seconds: float | None
    peak_memory_bytes: int | None
    device: str
    hardware: str
    threads: int
    git_commit: str | None
    started: datetime
    finished: datetime
    schema_version: int
    git_dirty: bool
    alone: bool | None
    execution: ExecutionUsed | None
    expected: int | None
    altered: str
    epochs: int | None
    command: str
    failure_kind: str
    failure_message: str
    seeds: tuple[tuple[str, int], ...]
    wrong: NDArray[np.int32] | None = field(compare=False, repr=False)
    error_by_scale: tuple[tuple[float, float, int, int], ...] = ()  # low, high, images, wrong answers

    @property
    def train_seconds_per_epoch(self) -> float | None:
        """Median of the samples."""
        return statistics.median(self.train_seconds) if self.train_seconds else None


@dataclass(frozen=True)
class Collection:
    """What a set of records gave: runs in a fixed order, what was unreadable, a line on each run found twice, measurements."""

    runs: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...]
    notes: tuple[str, ...]
    equivariance: tuple[Equivariance, ...] = ()
    generalisation: tuple[Generalisation, ...] = ()


def collect(source: Path | str | Iterable[Record]) -> Collection:
    """The runs, and what was measured beside them, of a folder of records; or the runs of records at hand.

    Of several records with one run id (copied from several machines) the earliest finished ok one is used. Raises
    RecordError when the folder is missing, or when records share a run id without being of the same run.
    """
    found = iterate_records(Path(source)) if isinstance(source, str | Path) else iter(source)
    copies: defaultdict[str, list[Run]] = defaultdict(list)
    unreadable = []
    for item in found:
        if isinstance(item, Unreadable):
            unreadable.append(item)
        else:
            copies[item.run_id].append(_run(item))
    notes = []
    for run_id, runs in sorted(copies.items()):
        if len(runs) > 1:
            _check_same(runs)
            runs.sort(key=lambda run: (run.status != "ok", run.finished, repr(run), _bytes(run.wrong)))
            moment = runs[0].finished.isoformat()
            notes.append(f"run {run_id} was found {len(runs)} times; used: {runs[0].status}, finished {moment}")
    kept = tuple(sorted((runs[0] for runs in copies.values()), key=_order))
    equivariance: list[Equivariance] = []
    generalisation: list[Generalisation] = []
    if isinstance(source, str | Path):
        equivariance, bad = read_measurements(Path(source), Equivariance)
        generalisation, bad_too = read_measurements(Path(source), Generalisation)
        unreadable += bad + bad_too
    return Collection(kept, tuple(unreadable), tuple(notes), tuple(equivariance), tuple(generalisation))


def _order(run: Run) -> tuple[str | int, ...]:
    return (run.protocol, run.data_variant, run.task, run.protocol_digest, run.model, run.realization, run.run_id)


def _bytes(wrong: NDArray[np.int32] | None) -> bytes:
    return b"" if wrong is None else wrong.tobytes()


def _check_same(runs: list[Run]) -> None:
    for name in ("model", "task", "realization", "protocol", "protocol_digest", "smoke", "data_variant", "data_fingerprint"):
        values = sorted({str(getattr(run, name)) for run in runs})
        if len(values) > 1:
            raise RecordError(
                f"records of run {runs[0].run_id} disagree on {name} ({values[0]!r}, {values[1]!r}), so they are not "
                "copies of one run; keep one of them in the records folder"
            )


def _run(record: Record) -> Run:
    metrics, timings, failure = record.metrics, record.timings, record.failure
    return Run(
        run_id=record.run_id,
        status=record.status,
        model=record.model,
        task=record.task,
        realization=record.realization,
        protocol=record.protocol.name,
        protocol_digest=record.protocol.digest,
        smoke=record.protocol.smoke,
        data_variant=record.data.variant,
        data_fingerprint=record.data.fingerprint,
        test_error=metrics.test_error if metrics else None,
        test_count=metrics.test_count if metrics else None,
        best_epoch=metrics.best_epoch if metrics else None,
        parameters=record.parameters,
        train_seconds=tuple(timings.train_seconds_per_epoch) if timings else (),
        total_seconds=timings.total_seconds if timings else None,
        peak_memory_bytes=record.peak_memory_bytes,
        device=record.hardware.device,
        hardware=record.hardware.name,
        threads=record.hardware.threads,
        git_commit=record.software.git_commit,
        started=record.started,
        finished=record.finished,
        schema_version=record.schema_version,
        git_dirty=bool(record.software.git_dirty),
        alone=_alone(record),
        execution=record.execution,
        expected=_expected(record.protocol.recipe.get("realizations")),
        altered=_altered(record.protocol.recipe),
        epochs=len(metrics.train_loss_curve) if metrics else None,
        command=record.command,
        failure_kind=failure.kind if failure else "",
        failure_message=failure.message if failure else "",
        seeds=tuple(sorted(record.seeds.items())),
        wrong=np.sort(np.array([index for index, _ in metrics.wrong_answers], dtype=np.int32)) if metrics else None,
        error_by_scale=tuple((b.low, b.high, b.count, b.wrong) for b in metrics.error_by_scale) if metrics else (),
    )


def _alone(record: Record) -> bool | None:
    others = record.hardware.other_processes
    if others or (record.execution and record.execution.jobs > 1):
        return False
    return None if others is None else True


def _expected(realizations: object) -> int | None:
    if isinstance(realizations, list):
        return len(realizations)
    return realizations if isinstance(realizations, int) and not isinstance(realizations, bool) else None


def _altered(recipe: dict[str, Any]) -> str:
    network, data = recipe.get("network"), recipe.get("data")
    changes = [f"{name}={value}" for name, value in sorted(network.items())] if isinstance(network, dict) else []
    pixels = data.get("central_pixels") if isinstance(data, dict) else None
    return ", ".join([*changes, *([] if pixels is None else [f"central_pixels={pixels}"])])
