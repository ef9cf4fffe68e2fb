"""A copy of the checkout in which new records and their board are made, and how they are put in place: all, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import BenchError
from bench.scheduling.stop import SIGNALS
from bench.submit.board import RECORDS, WRITTEN
from leaderboard.errors import RecordError, one_line, reason
from leaderboard.records.atomic import create_atomically


@contextmanager
def copy_of(root: Path, place: Path | None = None) -> Iterator[Path]:
    """A folder in `place` with the records and the board of a checkout, gone afterwards.

    Raises BenchError: there is no room, or no right. None: where the system has temporary files, which can be put nowhere else.
    The files are links to those of the checkout as far as the file system can: nothing may be written over them in place, and
    whoever writes a board replaces files whole. Links stay links, as they may lead in circles.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".bench-submit-", dir=place, ignore_cleanup_errors=True) as folder:
            for name in (str(RECORDS), *WRITTEN):
                if (root / name).is_dir():
                    shutil.copytree(root / name, Path(folder, name), symlinks=True, copy_function=_link)
                else:
                    _link(root / name, Path(folder, name))
            yield Path(folder)
    except OSError as error:  # shutil.Error is one
        raise BenchError(f"nothing was submitted: {one_line(error.filename or root)}: {reason(error)}") from error


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def put_in_place(copy: Path, root: Path, new: Sequence[Path]) -> list[Path]:
    """Move what is new in the copy, and the board's files as far as they changed, to their places; those of the board.

    `new`: paths below either. A file that is there already is never written over. Raises BenchError, with all as it was before.
    """
    changed = list(_changed(copy, root))
    undo: list[tuple[Path, Path | None]] = []  # a file, and what stood in its place
    kept = Path(tempfile.mkdtemp(prefix=".before-", dir=copy))
    with _uninterrupted():
        try:
            for path in new:
                if not create_atomically(root / path, (copy / path).read_bytes()):
                    raise RecordError(f"{one_line(root / path)} is there by now; submit again")
                undo.append((root / path, None))
            for number, path in enumerate(changed):
                before = kept / str(number) if (root / path).exists() else None
                if before is not None:
                    _link(root / path, before)
                undo.append((root / path, before))
                _move(copy / path, root / path)
        except (OSError, RecordError) as error:
            _undo(undo)
            why = f"{one_line(error.filename or root)}: {reason(error)}" if isinstance(error, OSError) else str(error)
            raise BenchError(f"nothing was submitted: {why}") from error
    return changed


def _move(source: Path, target: Path) -> None:
    """A file that is not in the copy is of the board no more."""
    if not source.exists():
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)  # noqa: PTH105


def _undo(moves: Sequence[tuple[Path, Path | None]]) -> None:
    for path, before in reversed(moves):
        with suppress(OSError):
            if before is not None:
                os.replace(before, path)  # noqa: PTH105
                continue
            path.unlink(missing_ok=True)
            for folder in path.parents[:3]:  # those that were made for it are empty again
                folder.rmdir()


def _changed(copy: Path, root: Path) -> Iterator[Path]:
    """The files of the board that differ, or that only one of the two has."""
    for path in sorted(_files(copy) | _files(root)):
        here, there = copy / path, root / path
        if not (here.exists() and there.exists()) or not (here.samefile(there) or here.read_bytes() == there.read_bytes()):
            yield path


def _files(root: Path) -> set[Path]:
    found: set[Path] = set()
    for name in WRITTEN:
        inside: Iterable[Path] = (root / name).rglob("*") if (root / name).is_dir() else [root / name]
        found |= {path.relative_to(root) for path in inside if path.is_file()}
    return found


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """For the milliseconds of moving: Ctrl-C and its like come afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, signal.SIGALRM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
