"""Where data lie, and writing them so that no half file is ever found."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import DataError

PACKED = Path(__file__).resolve().parents[1] / "data"  # where `bench pack` puts data


def user_folder() -> Path | None:
    """The folder that the user fills, `$BENCH_DATA`, else `data` beside these packages; only read. None: there is none.

    A file given as `$BENCH_DATA` stands for the folder that it lies in. Raises DataError: ~ of nobody.
    """
    given = os.environ.get("BENCH_DATA")
    if given:
        folder = _full(given, "BENCH_DATA")
        return folder.parent if is_file(folder) else folder
    return PACKED if PACKED.is_dir() else None


def cache_folder() -> Path:
    """`cache_place`, made if it is not there. Raises DataError: it cannot be made or read, or nobody can tell where it is."""
    folder = cache_place()
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(f"cache folder {folder} cannot be read: Permission denied; set BENCH_CACHE to another folder")
    return folder


def cache_place() -> Path:
    """`$BENCH_CACHE`, else `$XDG_CACHE_HOME/equiscale` (a relative one is ignored, as its standard says), else
    `~/.cache/equiscale`. What was cached under the suite's first name, `scalebench`, is used where it lies.

    Raises DataError: something else is there, or whose home ~ is cannot be told.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    base = base if base.startswith(("/", "~")) else "~/.cache"
    folder = _full(os.environ.get("BENCH_CACHE") or f"{base}/equiscale", "BENCH_CACHE")
    older = folder.with_name("scalebench")
    if not os.environ.get("BENCH_CACHE") and not os.path.lexists(folder) and is_folder(older):
        folder = older
    if os.path.lexists(folder) and not is_folder(folder):
        what = f"a link to {folder.readlink()}, where there is none" if folder.is_symlink() else "a file"
        raise DataError(f"cache folder {folder} is {what}; set BENCH_CACHE to another folder")
    return folder


def is_file(path: Path) -> bool:
    """As Path.is_file, which raises PermissionError (before Python 3.14) in a folder that may not be entered."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """As Path.is_dir, without its PermissionError."""
    return os.path.isdir(path)  # noqa: PTH112


def _full(given: str, variable: str) -> Path:
    """An absolute path; in a container, say, a user may have no home. Raises DataError."""
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(
            f"{given}: there is no such home folder here (HOME is not set); set {variable} to a folder's full path"
        ) from error
    except OSError as error:  # the working directory is no more
        raise DataError(f"{given}: {error.strerror}; set {variable} to a folder's full path") from error


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cache folder {folder} cannot be written: {reason}; free space or set BENCH_CACHE to another folder"
        ) from error


def check_writable(folder: Path, needed: int) -> None:
    """Before long work for `needed` bytes. Raises DataError: they do not fit, or nothing can be written."""
    with writing_to(folder):
        probe = folder / f"{uuid.uuid4().hex}.part"
        try:
            probe.touch(exist_ok=False)
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"cache folder {folder} has {free / 1e9:.2f} GB free and {needed / 1e9:.2f} GB are needed; "
            "free space or set BENCH_CACHE to another folder"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` for a new file, which takes its place when the block ends and is removed when it raises."""
    # Not tempfile: its files can be read by their owner alone, and a cache may be shared.
    temporary = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write an .npz file atomically. Raises DataError: the disk is full or cannot be written."""
    with writing_to(path.parent), replacing(path) as temporary, temporary.open("xb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
