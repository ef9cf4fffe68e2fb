"""Where data lie, and writing them so that no half file is ever found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import DataError


def user_folder() -> Path | None:
    """The folder that the user fills, `$BENCH_DATA`; it is only read. None where it is not set."""
    given = os.environ.get("BENCH_DATA")
    return Path(given).expanduser() if given else None


def cache_folder() -> Path:
    """`$BENCH_CACHE`, else `$XDG_CACHE_HOME/scalebench`, else `~/.cache/scalebench`. Raises DataError: cannot be written."""
    given = os.environ.get("BENCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(given).expanduser() if given else Path(base).expanduser() / "scalebench"
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cache folder {folder} cannot be written: {reason}; free space or set BENCH_CACHE to another"
        ) from error


def save_arrays(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write an .npz file atomically. Raises DataError: the disk is full or cannot be written."""
    with writing_to(path.parent):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
