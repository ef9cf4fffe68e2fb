"""Records of runs as files: one JSON per run, written once and atomically."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from leaderboard.errors import NewerRecord, RecordError, one_line, reason
from leaderboard.records.atomic import create_atomically, link_target
from leaderboard.records.schema import Record
from leaderboard.records.serialization import as_utf8, parse, to_json


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
    if not _put(link_target(path), to_json(record).encode("utf-8")):
        raise RecordError(f"{one_line(path)} holds a finished run already and is never overwritten; move it away to run again")
    return path


def _put(path: Path, content: bytes) -> bool:
    """Write a record where none or a failed one is; False: a finished one is there."""
    while not create_atomically(path, content):
        try:
            if _loaded(path).status == "ok":
                return False
            if _replace_failed(path, content):
                return True
        except FileNotFoundError:
            continue  # another process took the failed record away first
        except (RecordError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise RecordError(f"{one_line(path)} cannot be replaced: {one_line(why)}; move it away to run again") from None
    return True


def _replace_failed(path: Path, content: bytes) -> bool:
    """Take the failed record away and write in its place. Should it just have become a finished one, that is put back."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.replaced")
    path.rename(aside)
    try:
        finished = _loaded(aside).status == "ok"
        written = _put(path, aside.read_bytes() if finished else content)
    except BaseException:
        if not os.path.lexists(path):
            aside.rename(path)
        raise
    finally:
        aside.unlink(missing_ok=True)
    return written and not finished


def _loaded(path: Path) -> Record:
    """Raises OSError and, without the path in its message, RecordError."""
    return parse(as_utf8(path.read_bytes()), Record)


def read_record(path: Path) -> Record:
    """The record in the file ``path``. Raises RecordError, in one line, for anything that is not one."""
    try:
        return _loaded(Path(path))
    except (OSError, RecordError) as error:
        kind = NewerRecord if isinstance(error, NewerRecord) else RecordError
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise kind(f"{one_line(path)} is no readable record: {why}") from None


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
        raise RecordError(f"{one_line(path)} could not be set aside: {reason(error)}; rename it by hand") from None
