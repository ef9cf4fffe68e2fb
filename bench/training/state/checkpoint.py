"""The exact state of an unfinished run, in one file that is replaced atomically, and the one before it.

A file is what torch.save writes (read back with weights_only, so that no code comes from disk) and its SHA-256 in hexadecimal.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.machine.device import is_out_of_memory, stream_of
from bench.results import checkpoint_path, errors_as_not_saved, previous_path, put_checkpoint
from bench.training.state.network_state import device_of, map_tensors
from bench.training.state.run_state import Progress, load_run_state, run_state
from leaderboard.errors import one_line

MINUTES_BETWEEN = 5.0  # a long epoch is saved in between, too
SECONDS_BETWEEN_ON_CUDA = 15.0  # where an epoch takes less than writing its end to disk
DIGEST = 64  # hexadecimal digits at the end of the file


class Checkpoint:
    """The files of one run in a results folder: the newest state and, of the save before, the previous one."""

    def __init__(self, results: Path, run_id: str, minutes_between: float = MINUTES_BETWEEN) -> None:
        self.results, self.run_id, self.path = results, run_id, checkpoint_path(results, run_id)
        self.previous = previous_path(self.path)
        self.seconds_between, self.saved = 60 * minutes_between, time.monotonic()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written: Future[None] | None = None

    def due(self) -> bool:
        """Whether so much time went by since the last save that an epoch's end should not be waited for."""
        return time.monotonic() - self.saved >= self.seconds_between

    def due_after_epoch(self, device: torch.device) -> bool:
        """Whether the end of an epoch is to be saved: always on the CPU, every 15 seconds on CUDA."""
        return device.type != "cuda" or time.monotonic() - self.saved >= SECONDS_BETWEEN_ON_CUDA

    def save(self, progress: Progress, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state, all random generators included; on CUDA in the background, from a copy on the device.

        The network is then in training mode. Raises NotSaved: the disk is full or cannot be written; of a save in the
        background the next one, or `finish`, says so. Raises ModelError: the network's state cannot be stored.
        """
        state, device = run_state(progress, network, optimizer), device_of(network, optimizer)
        if device.type == "cuda":
            self.finish()
            copied, done = map_tensors(state, lambda tensor: tensor.detach().clone()), torch.cuda.Event()
            done.record()
            self._written = self._writer.submit(self._write_from_device, copied, done, device)
        else:
            self._write(lambda file: torch.save(state, file))
        self.saved = time.monotonic()

    def finish(self) -> None:
        """Wait until the last save is on disk. Raises NotSaved: it could not be written."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write_from_device(self, state: dict[str, Any], done: torch.cuda.Event, device: torch.device) -> None:
        with torch.cuda.device(device), torch.cuda.stream(stream_of("saving", torch.cuda.current_device())):
            done.wait()
            on_host = map_tensors(state, Tensor.cpu)
        self._write(lambda file: torch.save(on_host, file))

    def _write(self, write: Callable[[Any], object]) -> None:
        def with_digest(file: BinaryIO) -> None:
            hashed = _Hashed(file)
            write(hashed)
            file.write(hashed.digest.hexdigest().encode())

        put_checkpoint(self.results, self.run_id, with_digest)

    def load(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> Progress:
        """Restore the state in one of the two files, random generators last. `images`: as for `network_state.restore`.

        Raises UnreadableCheckpoint: the file is damaged, or (UnfitCheckpoint) whole, but no state of this network; BenchError:
        the system does not let it be read; torch.OutOfMemoryError.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BenchError(f"cannot read {path}: {error.strerror}; mend that, or remove it to begin the run anew") from error
        try:
            state = _state(content)
            progress = Progress.from_state(state["progress"])
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UnreadableCheckpoint(f"checkpoint {path} is damaged ({type(error).__name__})") from error
        try:
            load_run_state(state, progress, network, optimizer, images)
        except Exception as error:  # and networks and optimizers for another one's state
            if is_out_of_memory(error):
                raise
            raise UnfitCheckpoint(f"checkpoint {path} is of another network than this one: {one_line(str(error))}") from error
        return progress

    def set_aside(self, path: Path) -> Path:
        """Keep a whole file, from which this network cannot go on, under a name that is never overwritten or removed."""
        with errors_as_not_saved(path):
            kept = path.with_name(f"{self.run_id}.kept-{path.read_bytes()[-DIGEST:][:8].decode()}")
            return path.replace(kept)

    def newest_first(self) -> list[Path]:
        """The files there are."""
        return [path for path in (self.path, self.previous) if path.exists()]


class UnreadableCheckpoint(Exception):
    """A checkpoint file that is damaged; the message names it."""


class UnfitCheckpoint(UnreadableCheckpoint):
    """A checkpoint file that is whole, but of another network: its code has changed since."""


class _Hashed:
    """A file open for writing that hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def _state(content: bytes) -> dict[str, Any]:
    body, digest = content[:-DIGEST], content[-DIGEST:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("wrong SHA-256")
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return state
