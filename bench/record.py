"""The one maker of runs' records, of those that succeeded and those that failed; and the check, before training, that it can.

A record is the run's frame, known beforehand, and what training adds to it. Importing this takes no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from bench.errors import BenchError
from bench.plan import Run
from bench.results import run_record_path
from leaderboard.errors import one_line
from leaderboard.records.schema import (
    DataUsed,
    ExecutionUsed,
    Failure,
    Hardware,
    Metrics,
    ProtocolUsed,
    Record,
    Software,
    Timings,
)
from leaderboard.records.serialization import to_json

if TYPE_CHECKING:
    import torch

Status = Literal["ok", "failed", "diverged"]
TEMPORARY = 40  # characters by which names get longer while a file is written, set aside or replaced


def frame(run: Run) -> dict[str, Any]:
    """The fields of the run's record that do not depend on what comes of it. Raises ValidationError: one cannot be recorded."""
    recipe = {**run.recipe.settings, "realizations": run.protocol.realizations}
    return {
        "run_id": run.id,
        "model": run.model,
        "task": run.task,
        "realization": run.realization,
        "source": run.source or None,
        "protocol": ProtocolUsed(name=run.protocol.name, smoke=run.protocol.smoke, digest=run.recipe.digest, recipe=recipe),
        "data": DataUsed(variant=run.recipe.data.variant, fingerprint=run.fingerprint),
        "seeds": {"weights": run.seed("weights")},
        "command": run.command,
    }


def check_frames(runs: Iterable[Run], results: Path) -> None:
    """Raises BenchError: a run whose record could not be made, read again, or written into `results`."""
    name_limit, path_limit = _limits(results)
    for run in runs:
        try:
            record = _stand_in(run)
            same = Record.model_validate_json(to_json(record), strict=True) == record
        except (ValidationError, ValueError) as error:
            raise BenchError(f"{_what(run)}: {_why(error)}; give it another value, or a shorter name") from error
        if not same:
            raise BenchError(f"{_what(run)}: its recipe or its command reads otherwise than it was written")
        path = run_record_path(results.absolute(), run)
        name, whole = len(os.fsencode(path.name)) + TEMPORARY, len(os.fsencode(path)) + TEMPORARY
        if name > name_limit or whole > path_limit:
            which = f"its file's name is {name - name_limit}" if name > name_limit else f"its path is {whole - path_limit}"
            raise BenchError(
                f"{_what(run)}: {which} bytes longer than this file system allows; give the protocol a shorter `name:`, or "
                "a shorter --results DIR"
            )


def _what(run: Run) -> str:
    return f"{one_line(run.model, 60)} under protocol {one_line(run.protocol.name, 60)} could not be recorded"


def _why(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return one_line(error)
    first = error.errors()[0]
    where, given = ".".join(map(str, first["loc"])), one_line(first["input"], 80)
    return f"`{one_line(where, 80)}` {given!r}: {one_line(first['msg'].removeprefix('Value error, '))}"


def _limits(results: Path) -> tuple[int, int]:
    """How many bytes the name of a file and its whole path may have where the folder is, or will be."""
    there = results.absolute()
    while not os.path.isdir(there) and there != there.parent:  # noqa: PTH112 - a path too long to be asked about is none
        there = there.parent
    try:
        return os.pathconf(there, "PC_NAME_MAX"), os.pathconf(there, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):  # a system that does not tell; Windows has these
        return 255, 32_767


def succeeded_record(
    run: Run, hardware: Hardware, started: datetime, peak_memory_bytes: int | None, *,
    parameters: int, metrics: Metrics, timings: Timings, execution: ExecutionUsed,
) -> Record:  # fmt: skip
    """The record of a run that came to its end."""
    from bench.machine.hardware import describe_software

    return _record(
        run, "ok", hardware, describe_software(), started, peak_memory_bytes,
        parameters=parameters, metrics=metrics, timings=timings, execution=execution,
    )  # fmt: skip


def failed_record(
    run: Run, device: torch.device, kind: str, message: str, tail: list[str], *,
    started: datetime | None = None, peak_memory_bytes: int | None = None,
) -> Record:  # fmt: skip
    """The record of a run that has no result. `kind`: "diverged", or what kept it from one; `tail`: of a traceback."""
    from bench.machine.hardware import describe_hardware, describe_software

    status: Status = "diverged" if kind == "diverged" else "failed"
    failure, started = Failure(kind=kind, message=message, traceback_tail=tail), started or datetime.now(UTC)
    return _record(run, status, describe_hardware(device), describe_software(), started, peak_memory_bytes, failure=failure)


def execution_used(run: Run, *, cuda_graph: bool, evaluation_batch: int, jobs: int) -> ExecutionUsed:
    """How a run was computed: as its recipe says, and what only shows while it is."""
    recipe = run.recipe
    return ExecutionUsed(
        cuda_graph=cuda_graph, compile=recipe.compile, batch_split=recipe.batch_split, channels_last=recipe.channels_last,
        evaluation_batch=evaluation_batch, jobs=jobs,
    )  # fmt: skip


def _record(
    run: Run, status: Status, hardware: Hardware, software: Software, started: datetime,
    peak_memory_bytes: int | None = None, *, parameters: int | None = None, metrics: Metrics | None = None,
    timings: Timings | None = None, execution: ExecutionUsed | None = None, failure: Failure | None = None,
) -> Record:  # fmt: skip
    finished = max(started, datetime.now(UTC))  # a clock may have gone backwards
    return Record(
        **frame(run), status=status, execution=execution, parameters=parameters, metrics=metrics, timings=timings,
        peak_memory_bytes=peak_memory_bytes, hardware=hardware, software=software, started=started, finished=finished,
        failure=failure,
    )  # fmt: skip


def _stand_in(run: Run) -> Record:
    """The run's record as it would be if it failed, of a machine that nobody asked."""
    evaluation_batch = run.recipe.evaluation_batch or 1
    execution = execution_used(run, cuda_graph=bool(run.recipe.cuda_graph), evaluation_batch=evaluation_batch, jobs=1)
    unknown = dict.fromkeys(("driver", "clocks_mhz", "power_cap_watts", "other_processes"))
    hardware = Hardware(device="cpu", name="", cores=1, threads=1, memory_bytes=0, **unknown)
    software = Software(python="", torch="", numpy="", platform="", cuda=None, git_commit=None, git_dirty=None, scalebench="")
    failure = Failure(kind="", message="", traceback_tail=[])
    return _record(run, "failed", hardware, software, datetime.now(UTC), execution=execution, failure=failure)
