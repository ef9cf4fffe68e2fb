"""The exact state of an unfinished run, in one file that is replaced atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError


@dataclass
class Progress:
    """How far a run is, besides its weights and optimizer."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    best_error: float = float("inf")
    best_epoch: int = -1
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    train_loss_curve: list[float] = field(default_factory=list)
    validation_error_curve: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    validation_seconds: list[float] = field(default_factory=list)


class Checkpoint:
    """The file of one run: `folder`/RUN_ID.pt."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.path = folder / f"{run_id}.pt"

    def save(self, progress: Progress, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state, all random generators included. Raises BenchError: the disk is full or cannot be written."""
        state = {
            "progress": asdict(progress),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng_cpu": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        temporary = self.path.with_suffix(".part")
        with _one_line_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Restore the state, random generators last; None when there is no checkpoint.

        A file that cannot be read is named on screen and the run starts again from the beginning.
        """
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            progress = Progress(**state["progress"])
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["rng_cpu"])
            if torch.cuda.is_available() and state["rng_cuda"]:
                torch.cuda.set_rng_state_all(state["rng_cuda"])
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UnreadableCheckpoint(f"checkpoint {self.path}: {type(error).__name__}") from error
        return progress

    def remove(self) -> None:
        """Forget the state: the run has its record."""
        self.path.unlink(missing_ok=True)


class UnreadableCheckpoint(Exception):
    """A checkpoint file that is damaged; the run has to start again."""


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise BenchError(
            f"cannot save {path}: {reason}; free some space or choose another folder with --results DIR"
        ) from error
