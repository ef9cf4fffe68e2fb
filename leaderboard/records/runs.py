"""Results of runs as tables need them: the record of each, flattened, and its wrong answers packed."""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leaderboard.records.schema import ExecutionUsed, Record


@dataclass(frozen=True, slots=True)
class RunResult:
    """A record without its curves and with its wrong answers in a few kilobytes; same units.

    ``wrong``: int32 (number of wrong answers,), the sorted indices in the test split; None where there is no result.
    ``answers`` is a hash of these with the answers given. Status ``contradictory``: see leaderboard/reading/copies.py.

    ``expected`` is how many realizations the protocol asks for, when its recipe says so; ``epochs`` those trained.
    ``altered`` says what about the network or the images is not the task's own, or that the model's code is older than the
    latest (``source``, reading/collection.py); empty: nothing. ``alone``: no other process and no other run of its command was
    on the device; None where nobody knows.
    """

    run_id: str
    status: Literal["ok", "failed", "diverged", "contradictory"]
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
    answers: str = ""
    source: str | None = None
    error_by_scale: tuple[tuple[float, float, int, int], ...] = ()  # low, high, images, wrong answers
    version: str = ""  # of equiscale
    file: str = field(default="", compare=False)  # of the record, below the folder of records and with its name

    @property
    def code(self) -> str:
        """The commit of the suite, and a few digits of the model's own code if it is not the suite's; or nothing."""
        commit = f"{self.git_commit[:7]}{' + changes' if self.git_dirty else ''}" if self.git_commit else ""
        return ", ".join(filter(None, [commit, f"model {self.source[:10]}" if self.source else ""]))

    @property
    def train_seconds_per_epoch(self) -> float | None:
        """Median over the run's epochs; None where there are no samples."""
        return statistics.median(self.train_seconds) if self.train_seconds else None


def run_of(record: Record) -> RunResult:
    """What tables need of a record."""
    metrics, timings, failure = record.metrics, record.timings, record.failure
    given = _by_index(metrics.wrong_answers) if metrics else None
    return RunResult(
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
        wrong=None if given is None else given[:, 0].astype(np.int32),
        source=record.source,
        answers="" if given is None else _hash(given),
        error_by_scale=tuple((b.low, b.high, b.count, b.wrong) for b in metrics.error_by_scale) if metrics else (),
        version=record.software.scalebench,
    )


def answers_hash(answers: list[tuple[int, int]]) -> str:
    """A hash of wrong answers, (index in the test split, answer given), in whichever order: a ``RunResult``'s ``answers``."""
    return _hash(_by_index(answers))


def _hash(given: NDArray[np.int64]) -> str:
    return hashlib.blake2b(given.tobytes(), digest_size=16).hexdigest()


def _by_index(answers: list[tuple[int, int]]) -> NDArray[np.int64]:
    """(number of wrong answers, 2), by index in the test split, which none has twice."""
    given = np.array(answers, dtype=np.int64).reshape(-1, 2)
    return given[np.argsort(given[:, 0])]


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
