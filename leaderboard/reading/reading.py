"""Reading what is ours among the files of a folder, each oddity named and none touched."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from leaderboard.errors import NewerRecord, RecordError, one_line
from leaderboard.reading.finding import find_files
from leaderboard.reading.ours import HEAD, kind_of, kind_of_head

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Unreadable:
    """A file of ours, or a folder, that gave nothing, and why (one line, without the path).

    ``name`` is the path below the folder of records, with ``/`` on every platform (below one of several folders: the path).
    ``newer``: a newer scalebench wrote it, so that nothing is wrong with it.
    """

    path: Path
    name: str
    reason: str
    newer: bool = False


@dataclass(frozen=True)
class Stranger:
    """A JSON file that is not ours."""

    name: str


@dataclass(frozen=True)
class Read(Generic[M]):
    """What a file held, and the file."""

    path: Path
    name: str
    item: M


def read_each(roots: Sequence[Path], kinds: Mapping[str, type[M]]) -> Iterator[Read[M] | Unreadable | Stranger]:
    """Every file of the given kinds at any depth below the roots, in the order of the paths, one at a time.

    ``kinds``: the class of ``"run"`` and of each kind of measurement that is wanted; ours of other kinds are passed over.
    Raises RecordError when a root is no folder.
    """
    for root in roots:
        if not root.is_dir():
            command = f"bench run --all --results {shlex.quote(one_line(root))}"
            raise RecordError(f"{one_line(root)} is no folder of records; give one that exists, or make it with: {command}")
    for path, problem in find_files(roots).items():
        name = (path.relative_to(roots[0]) if len(roots) == 1 else path).as_posix()
        try:
            if problem:
                raise RecordError(problem)
            content = _content(path, kinds)
            kind = None if content is None else kind_of_head(content) or kind_of(content, path)
            if content is not None and kind is None:
                yield Stranger(name)
            elif kind is not None and kind in kinds and content is not None:
                yield Read(path, name, parse(content, kinds[kind]))
        except RecordError as error:
            if os.path.lexists(path):  # else another process is about to replace a failed record
                yield Unreadable(path, name, str(error), isinstance(error, NewerRecord))


def _content(path: Path, kinds: Mapping[str, type[M]]) -> bytes | None:
    """The file's content in UTF-8; None where its first bytes say that it is of a kind that is not wanted."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            if (kind := kind_of_head(head)) and kind not in kinds:
                return None
            return as_utf8(head + file.read())
    except OSError as error:
        raise RecordError(one_line(error.strerror or type(error).__name__)) from None


def as_utf8(content: bytes) -> bytes:
    """JSON as an editor may have saved it, with a byte order mark or in UTF-16, in plain UTF-8; what is neither as it is."""
    encoding = json.detect_encoding(content)
    try:
        return content if encoding == "utf-8" else content.decode(encoding).encode()
    except UnicodeError:
        return content


def parse(content: bytes, kind: type[M]) -> M:
    """The record or measurement in a file's content in UTF-8. Raises RecordError; NewerRecord if of a newer schema."""
    try:
        found = kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _error(content, error, kind.model_fields["schema_version"].default) from None
    if "schema_version" not in found.model_fields_set:
        raise RecordError("it has no schema_version")
    return found


def _error(content: bytes, error: ValidationError, version_read: int) -> RecordError:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as problem:
        return RecordError(f"truncated or damaged JSON ({one_line(problem, 120)})")
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version is not None and version != version_read:
        software = data.get("software")
        writer = software.get("scalebench") if isinstance(software, dict) else None
        use = f"use scalebench {one_line(writer, 40)} or newer" if writer else "use the one that wrote it"
        newer = isinstance(version, int) and version > version_read
        text = f"schema version {one_line(repr(version), 40)}; this scalebench reads {version_read}, {use}"
        return NewerRecord(text) if newer else RecordError(text)
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part) for part in problems[0]["loc"]) or "record"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return RecordError(one_line(f"{one_line(where, 80)}: {problems[0]['msg']}") + more)
