"""What a record says of a run that is known before training, and that it can be written: checked before anything is trained.

What can be run can be recorded. A record is the frame and what training adds to it; here stand-ins take the place of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.plan import Run
from leaderboard.errors import one_line
from leaderboard.records.store import (
    DataUsed,
    ExecutionUsed,
    Failure,
    Hardware,
    ProtocolUsed,
    Record,
    Software,
    record_path,
    to_json,
)

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
            record = Record(**frame(run), **_stand_in(run))
            same = Record.model_validate_json(to_json(record), strict=True) == record
        except (ValidationError, ValueError) as error:
            raise BenchError(f"{_what(run)}: {_why(error)}; give it another value, or a shorter name") from error
        if not same:
            raise BenchError(f"{_what(run)}: its recipe or its command reads otherwise than it was written")
        path = record_path(results.absolute(), record)
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


def _stand_in(run: Run) -> dict[str, Any]:
    now, unknown = datetime.now(UTC), dict.fromkeys(("parameters", "metrics", "timings", "peak_memory_bytes"))
    return {
        **unknown,
        "status": "failed",
        "failure": Failure(kind="", message="", traceback_tail=[]),
        "execution": ExecutionUsed(
            cuda_graph=bool(run.recipe.cuda_graph), compile=run.recipe.compile, batch_split=run.recipe.batch_split,
            channels_last=run.recipe.channels_last, evaluation_batch=run.recipe.evaluation_batch or 1, jobs=1,
        ),
        "hardware": Hardware(
            device="cpu", name="", cores=1, threads=1, memory_bytes=0, driver=None, clocks_mhz=None, power_cap_watts=None,
            other_processes=None,
        ),
        "software": Software(
            python="", torch="", numpy="", platform="", cuda=None, git_commit=None, git_dirty=None, scalebench=""
        ),
        "started": now,
        "finished": now,
    }  # fmt: skip
