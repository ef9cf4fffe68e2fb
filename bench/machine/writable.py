"""Whether a folder takes files: asked before hours of work, not after."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.errors import BenchError
from leaderboard.records.atomic import link_target

BYTES_NEEDED = 50_000_000


def check_writable(folder: Path, option: str, what: str = "folder") -> None:
    """Make the folder if there is none. Raises BenchError: it cannot be written, or its disk is full; `option` is to say."""
    try:
        link_target(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
        free = shutil.disk_usage(folder).free
    except (OSError, ValueError) as error:  # ValueError: a null byte in its name
        reason = getattr(error, "strerror", None) or error
        raise BenchError(f"{what} {str(folder)!r} cannot be written: {reason}; try {option} DIR") from error
    if free < BYTES_NEEDED:
        raise BenchError(f"less than 50 MB is free where {str(folder)!r} lies; free some space or try {option} DIR")
