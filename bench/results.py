"""Where things lie in a results folder, whether it takes files, and runs' states and weights as files.

The newest state of an unfinished run is `.checkpoints/RUN_ID.pt`, the one before it `RUN_ID.pt.previous`; either is replaced
atomically. What is in them is known in `bench/training/state/`: checkpoint.py, and weights.py for those of finished runs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bench.errors import BenchError, NotSaved
from bench.plan import Run
from leaderboard.records.atomic import link_target, temporary_file, write_atomically
from leaderboard.records.store import path_of_run

CHECKPOINTS = ".checkpoints"
ZIP = b"PK\x03\x04"  # what a file of torch's begins with
BYTES_NEEDED = 50_000_000  # free on its disk: asked before hours of work, not after


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


def checkpoint_path(results: Path, run_id: str) -> Path:
    """The newest state of an unfinished run."""
    return results / CHECKPOINTS / f"{run_id}.pt"


def previous_path(checkpoint: Path) -> Path:
    """The state before the newest."""
    return checkpoint.with_name(f"{checkpoint.name}.previous")


def weights_path(results: Path, run_id: str) -> Path:
    """The weights of a finished run: RUN_ID.safetensors, or RUN_ID.pt where there is only that, in torch's own format.

    So are those of earlier versions, and states that safetensors cannot hold.
    """
    safe, own = _weights_paths(results, run_id)
    return own if own.exists() and not safe.exists() else safe


def folder_with_weights(folders: Sequence[Path], run_id: str) -> Path:
    """Of several results folders the first that has the run's weights; where none has, the first."""
    return next((folder for folder in folders if weights_path(folder, run_id).exists()), folders[0])


def put_weights(results: Path, run_id: str, content: bytes) -> Path:
    """Let these, in either format, be the run's weights; the file. Raises RecordError: it cannot be written."""
    safe, own = _weights_paths(results, run_id)
    path, other = (own, safe) if content.startswith(ZIP) else (safe, own)
    write_atomically(path, content)
    other.unlink(missing_ok=True)
    return path


def _weights_paths(results: Path, run_id: str) -> tuple[Path, Path]:
    folder = Path(results) / "weights"
    return folder / f"{run_id}.safetensors", folder / f"{run_id}.pt"


def run_record_path(results: Path, run: Run) -> Path:
    """The record of a run, finished or failed."""
    return path_of_run(results, run.protocol.name, run.task, run.model, run.id)


def leases_folder(results: Path) -> Path:
    """The leases of the runs that somebody has in hand."""
    return results / ".leases"


def runs_begun(results: Path) -> set[str]:
    """The ids of the runs that have a state."""
    return {path.name.partition(".pt")[0] for path in (results / CHECKPOINTS).glob("*.pt*")}


def checkpoint_content(results: Path, run_id: str) -> bytes | None:
    """The newest state as it is on disk; None: there is none."""
    with suppress(OSError):
        return checkpoint_path(results, run_id).read_bytes()
    return None


def put_checkpoint(results: Path, run_id: str, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Let this, or what a function writes to a file, be the newest state. Raises NotSaved: the disk is full or read-only."""
    path = checkpoint_path(results, run_id)
    with errors_as_not_saved(path):
        link_target(path.parent).mkdir(parents=True, exist_ok=True)
        # A process that lost the run's lease in its sleep may still be writing: its file has another name.
        with temporary_file(path, content, path.name) as temporary:
            _keep_previous(path)
            temporary.replace(path)


def remove_checkpoint(results: Path, run_id: str) -> None:
    """Forget the state, and what a killed process left of writing it: the run has its record."""
    path = checkpoint_path(results, run_id)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)


def _keep_previous(path: Path) -> None:
    """Let the one before be today's newest, in such a way that there is a newest at every moment."""
    link = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.link")
    try:
        os.link(path, link)
        link.replace(previous_path(path))
    except FileNotFoundError:
        return  # the first save
    except OSError:  # a file system without links
        with suppress(FileNotFoundError):
            path.replace(previous_path(path))
    finally:
        link.unlink(missing_ok=True)  # renaming a link to where the same file is linked already does nothing


@contextmanager
def errors_as_not_saved(path: Path) -> Iterator[None]:
    """Raises NotSaved, in one line, for what a system or torch raises about a file."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise NotSaved(f"cannot save {path}: {reason}; free some space or choose another folder with --results DIR") from error
