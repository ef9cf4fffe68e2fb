"""Where data lie, and writing them so that no half file is ever found."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import DataError

PACKED = Path(__file__).resolve().parents[1] / "data"  # where `bench pack` puts data


def user_folder() -> Path | None:
    """The folder that the user fills, `$BENCH_DATA`, else `data` beside these packages; only read. None: there is none."""
    given = os.environ.get("BENCH_DATA")
    if given:
        return Path(given).expanduser()
    return PACKED if PACKED.is_dir() else None


def cache_folder() -> Path:
    """`$BENCH_CACHE`, else `$XDG_CACHE_HOME/scalebench`, else `~/.cache/scalebench`. Raises DataError: cannot be written."""
    given = os.environ.get("BENCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = (Path(given) if given else Path(base) / "scalebench").expanduser().absolute()
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
            f"cache folder {folder} cannot be written: {reason}; free space or set BENCH_CACHE to another folder"
        ) from error


def save_arrays(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write an .npz file atomically. Raises DataError: the disk is full or cannot be written."""
    # Not tempfile: its files can be read by their owner alone, and a cache may be shared.
    temporary = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part")
    with writing_to(path.parent):
        try:
            with temporary.open("xb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
