"""Records as files: one JSON per run, written once and atomically, and read with every oddity reported by name."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from leaderboard.atomic import create_atomically
from leaderboard.errors import RecordError, one_line
from leaderboard.schema import (
    MEASUREMENTS,
    SCHEMA_VERSION,
    DataUsed,
    ExecutionUsed,
    Failure,
    Hardware,
    Metrics,
    ProtocolUsed,
    Record,
    ScaleBin,
    Software,
    Timings,
)

__all__ = [
    "SCHEMA_VERSION", "DataUsed", "ExecutionUsed", "Failure", "Hardware", "Metrics", "ProtocolUsed", "Record", "ScaleBin",
    "Software", "Timings", "Unreadable", "iterate_records", "path_of_run", "read_all", "read_record", "record_path",
    "set_aside", "write_record",
]  # fmt: skip


M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Unreadable:
    """A file or folder under the records folder that gave no record, and why (one line, without the path).

    ``name`` is the path below that folder, with ``/`` on every platform.
    """

    path: Path
    name: str
    reason: str


def record_path(root: Path, record: Record) -> Path:
    """Where the record belongs: ``root/protocol/task/model/run_id.json``."""
    return path_of_run(root, record.protocol.name, record.task, record.model, record.run_id)


def path_of_run(root: Path, protocol: str, task: str, model: str, run_id: str) -> Path:
    """Where the record of a run belongs that has none yet."""
    return Path(root) / protocol / task / model / f"{run_id}.json"


def write_record(root: Path, record: Record) -> Path:
    """Write the record atomically and return its path. Of several processes that write one run's record, the first wins.

    Raises RecordError when an ok record or an unreadable file is already there (a failed record is replaced), and when
    the file cannot be written.
    """
    path = record_path(root, record)
    if not _put(path, to_json(record).encode("utf-8")):
        raise RecordError(f"{one_line(path)} holds a finished run already and is never overwritten; move it away to run again")
    return path


def _put(path: Path, content: bytes) -> bool:
    """Write a record where none or a failed one is; False: a finished one is there."""
    while not create_atomically(path, content):
        try:
            found = _parse_content(path.read_bytes(), Record)
            if found.status == "ok":
                return False
            if _replace_failed(path, content):
                return True
        except FileNotFoundError:
            continue  # another process took the failed record away first
        except (RecordError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RecordError(f"{one_line(path)} cannot be replaced: {one_line(reason)}; move it away to run again") from None
    return True


def _replace_failed(path: Path, content: bytes) -> bool:
    """Take the failed record away and write in its place. Should it just have become a finished one, that is put back."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.replaced")
    path.rename(aside)
    try:
        finished = _parse(aside, Record).status == "ok"
        written = _put(path, aside.read_bytes() if finished else content)
    except BaseException:
        if not os.path.lexists(path):
            aside.rename(path)
        raise
    finally:
        aside.unlink(missing_ok=True)
    return written and not finished


def to_json(record: BaseModel) -> str:
    """One line per field and per field's field: a change shows as a line, and a long curve stays on one."""
    lines = []
    for name, value in record.model_dump(mode="json").items():
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if isinstance(value, dict) and value:
            inner = (f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in value.items())
            text = "{\n" + ",\n".join(inner) + "\n }"
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path) -> Record:
    """The record in the file ``path``. Raises RecordError, in one line, for anything that is not one."""
    try:
        return _parse(Path(path), Record)
    except RecordError as error:
        raise RecordError(f"{one_line(path)} is no readable record: {error}") from None


def _parse(path: Path, kind: type[M]) -> M:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(one_line(error.strerror or type(error).__name__)) from None
    return _parse_content(content, kind)


def _parse_content(content: bytes, kind: type[M]) -> M:
    try:
        found = kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise RecordError(_reason(content, error, kind.model_fields["schema_version"].default)) from None
    if "schema_version" not in found.model_fields_set:
        raise RecordError("it has no schema_version")
    return found


def _reason(content: bytes, error: ValidationError, version_read: int) -> str:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as problem:
        return f"truncated or damaged JSON ({one_line(problem, 120)})"
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version is not None and version != version_read:
        return f"schema version {one_line(repr(version), 40)}; this scalebench reads {version_read}, use the one that wrote it"
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part) for part in problems[0]["loc"]) or "record"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return one_line(f"{one_line(where, 80)}: {problems[0]['msg']}") + more


def iterate_records(root: Path) -> Iterator[Record | Unreadable]:
    """Each file of ``root/**/*.json`` in the order of the paths, one at a time: a record holds thousands of answers.

    Folders of measurements (``leaderboard.measurements``) directly under ``root`` are left out.

    Raises RecordError when ``root`` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise RecordError(f"{one_line(root)} is no folder of records; give one that exists, or make it with: bench run --all")
    yield from read_each(root, root, Record, leave_out=MEASUREMENTS)


def read_each(root: Path, folder: Path, kind: type[M], leave_out: Collection[str] = ()) -> Iterator[M | Unreadable]:
    """Each file of ``folder/**/*.json`` as one of ``kind``, in the order of the paths; what cannot be read is named below root.

    ``leave_out``: folders directly in ``folder`` that are not looked into.
    """
    for path, problem in find_files(folder, leave_out).items():
        try:
            if problem:
                raise RecordError(problem)
            yield _parse(path, kind)
        except RecordError as error:
            if not os.path.lexists(path):
                continue  # another process is about to replace a failed record
            yield Unreadable(path, path.relative_to(root).as_posix(), str(error))


def find_files(root: Path, leave_out: Collection[str]) -> dict[Path, str]:
    """Every .json path in order, with a reason for each thing that cannot be looked into; some folders of root left out.

    Hidden files are no records: .jobs.json, say, is what `--jobs auto` found.
    """
    found: dict[Path, str] = {}

    def closed(error: OSError) -> None:
        found[Path(error.filename)] = one_line(error.strerror or type(error).__name__)

    for folder, folders, files in os.walk(root, onerror=closed):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in leave_out]
        found |= {Path(folder, name): "" for name in files if name.endswith(".json") and not name.startswith(".")}
        links = (path for name in folders if (path := Path(folder, name)).is_symlink())
        found |= {path: "a link to a folder; links are not followed" for path in links}
    return dict(sorted(found.items()))


def read_all(root: Path) -> tuple[list[Record], list[Unreadable]]:
    """Every record under ``root`` and everything there that could not be read, both in the order of their paths.

    Raises RecordError when ``root`` is no folder.
    """
    found = list(iterate_records(root))
    return [f for f in found if isinstance(f, Record)], [f for f in found if isinstance(f, Unreadable)]


def set_aside(path: Path) -> Path:
    """Rename a file to ``NAME.json.unreadable`` (numbered if taken), so that the run can be done again; the new path.

    Raises RecordError when it cannot be renamed.
    """
    path = Path(path)
    target, number = path.with_name(f"{path.name}.unreadable"), 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.unreadable.{number}")
    try:
        return path.rename(target)
    except OSError as error:
        reason = one_line(error.strerror or type(error).__name__)
        raise RecordError(f"{one_line(path)} could not be set aside: {reason}; rename it by hand") from None
