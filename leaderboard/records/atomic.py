"""Writing a file, where the user points, so that a reader sees either the whole of it or what was there before."""

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from leaderboard.errors import RecordError, one_line, reason

_DESCRIPTOR = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)")


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` by way of a temporary file beside it, making the folder when it is missing.

    A link stays, and the file behind it is replaced; a file that is replaced keeps its permissions. What is no file, a device
    or a pipe, is written to. Raises RecordError, and leaves ``path`` as it was, when there is a folder, or the disk is full,
    read-only or the like.
    """
    with _one_line_errors(path):
        check_target(path)
        if is_stream(path):
            _write_to_stream(path, content)
            return
        target = link_target(path)
        with temporary_file(target, content) as temporary:
            if target.exists():
                _copy_permissions(temporary, target.stat())
            os.replace(temporary, target)  # noqa: PTH105 (the one rename that is atomic on every platform)


def create_atomically(path: Path, content: bytes) -> bool:
    """As ``write_atomically``, but only where nothing is: of several processes one gets True, the others False."""
    with _one_line_errors(path):
        check_target(path)
        path = link_target(path)
        with temporary_file(path, content) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                if os.path.lexists(path):
                    return False
                os.replace(temporary, path)  # noqa: PTH105
    return True


def check_target(path: Path, folder: bool = False) -> None:
    """Raises RecordError, in one line, where no file (or folder) can be written, so that it is said before any work."""
    with _one_line_errors(path):
        if path.name in ("", "..") and not folder:
            raise RecordError(f"{str(path)!r} is a folder; give the name of a file")
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            above = next(parent for parent in link_target(path).parents if os.path.lexists(parent))
            if not above.is_dir() or not os.access(above, os.W_OK):
                code = errno.EACCES if above.is_dir() else errno.ENOTDIR
                raise OSError(code, f"{os.strerror(code)}: {above}") from None
        else:
            if is_folder != folder:
                raise RecordError(f"{one_line(path)} is {'no' if folder else 'a'} folder; give another name")


def is_stream(path: Path) -> bool:
    """Whether there is something that is written to and cannot be replaced: a device, a pipe, this process's own output."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return _DESCRIPTOR.fullmatch(str(path)) is not None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def link_target(path: Path) -> Path:
    """The file or folder that a link leads to, whether it is there yet or not; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() or not path.parent.exists() else path


def _write_to_stream(path: Path, content: bytes) -> None:
    sys.stdout.flush()  # what was printed before comes before
    named = _DESCRIPTOR.fullmatch(str(path))
    # Opened anew, a descriptor's file would begin at its start again.
    number = named and (1 if named[1] else 2 if named[2] else int(named[3] or named[4]))
    with path.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as file:
        file.write(content)


@contextmanager
def temporary_file(path: Path, content: bytes | Callable[[BinaryIO], object], name: str | None = None) -> Iterator[Path]:
    """A file beside ``path`` with the content, or what a function writes to it, safe on disk; gone afterwards.

    ``name``: how its name begins. Raises OSError.
    """
    # By default not the whole name, which may be as long as a name can be.
    temporary = path.with_name(f"{name or f'.{path.name[:30]}'}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("xb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _copy_permissions(file: Path, of: os.stat_result) -> None:
    with suppress(OSError):  # only root may give a file away
        os.chown(file, of.st_uid, of.st_gid)
    file.chmod(stat.S_IMODE(of.st_mode))


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except RecordError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = reason(error) if isinstance(error, OSError) else one_line(error)
        raise RecordError(f"{one_line(path)} could not be written: {why}; free the place or give another") from None
