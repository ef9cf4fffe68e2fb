"""Every record and measurement below some folders: at any depth, behind links too, each once, none touched."""

from __future__ import annotations

import os
import shlex
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from leaderboard.errors import NewerRecord, RecordError, one_line, reason
from leaderboard.records.file_kind import HEAD, RUN, kind_of, kind_of_head
from leaderboard.records.measurement import Measurement, kind_name
from leaderboard.records.schema import Record
from leaderboard.records.serialization import as_utf8, parse

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)
M = TypeVar("M", bound=Measurement)


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A file, and what it held.

    ``name`` is the path below the folder of records, with ``/`` on every platform (below one of several folders: the path).
    """

    path: Path
    name: str
    item: T


@dataclass(frozen=True)
class Unreadable:
    """A file of ours, or a folder, that gave nothing, and why (one line, without the path); ``name`` as in ``Loaded``.

    ``newer``: a newer equiscale wrote it, so that nothing is wrong with it.
    """

    path: Path
    name: str
    reason: str
    newer: bool = False


@dataclass(frozen=True)
class ForeignFile:
    """A JSON file that is not ours; ``name`` as in ``Loaded``."""

    name: str


def read_all(root: Path) -> tuple[list[Record], list[Unreadable]]:
    """Every record of a run below ``root``, and everything of ours there that could not be read, in order of their paths.

    Raises RecordError when ``root`` is no folder.
    """
    found = list(read_each([Path(root)], {RUN: Record}))
    return [f.item for f in found if isinstance(f, Loaded)], [f for f in found if isinstance(f, Unreadable)]


def read_measurements(roots: Path | Sequence[Path], kind: type[M]) -> tuple[list[M], list[Unreadable]]:
    """Every measurement of one kind below a folder or several, and what could not be read, in the order of their paths.

    A root that is no folder has none.
    """
    given = [roots] if isinstance(roots, Path) else roots
    found = list(read_each([root for root in given if root.is_dir()], {kind_name(kind): kind}))
    return [f.item for f in found if isinstance(f, Loaded)], [f for f in found if isinstance(f, Unreadable)]


def read_each(roots: Sequence[Path], kinds: Mapping[str, type[B]]) -> Iterator[Loaded[B] | Unreadable | ForeignFile]:
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
                yield ForeignFile(name)
            elif kind is not None and kind in kinds and content is not None:
                yield Loaded(path, name, parse(content, kinds[kind]))
        except RecordError as error:
            if os.path.lexists(path):  # else another process is about to replace a failed record
                yield Unreadable(path, name, str(error), isinstance(error, NewerRecord))


def _content(path: Path, kinds: Mapping[str, type[B]]) -> bytes | None:
    """The file's content in UTF-8; None where its first bytes say that it is of a kind that is not wanted."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            if (kind := kind_of_head(head)) and kind not in kinds:
                return None
            return as_utf8(head + file.read())
    except OSError as error:
        raise RecordError(reason(error)) from None


def find_files(roots: Sequence[Path]) -> dict[Path, str]:
    """Every .json file below the roots in the order of the paths, and what cannot be looked into with the reason (else "").

    Links to files and folders are followed, and each file is found once: by its own name where it has one here. A link to a
    folder that it lies in leads nowhere new. Hidden files and folders hold no records: editors, notebooks and the checkpoints
    of runs keep theirs there.
    """
    found: dict[Path, str] = {}
    seen: set[tuple[int, int]] = set()  # by device and inode
    here, links = deque(roots), deque[Path]()
    while here or links:
        is_link = not here
        path = links.popleft() if is_link else here.popleft()
        try:
            at = path.stat()
            inode, is_folder = (at.st_dev, at.st_ino), stat.S_ISDIR(at.st_mode)
            wanted = is_folder or (stat.S_ISREG(at.st_mode) and path.suffix == ".json")
            if inode in seen or not wanted or (is_link and _encloses(path)):
                continue
            seen.add(inode)
            if not is_folder:
                found[path] = ""
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        (links if entry.is_symlink() else here).append(path / entry.name)
        except OSError as error:
            if path.suffix in ("", ".json"):  # a folder, or a file that may have been a record
                found[path] = reason(error)
    return dict(sorted(found.items()))


def _encloses(link: Path) -> bool:
    """Whether a link leads to a folder that it lies in itself."""
    return link.parent.resolve().is_relative_to(link.resolve())
