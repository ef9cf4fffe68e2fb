"""The weights of finished runs, kept beside their records for measurements that need the trained network.

One file per run, `results`/weights/RUN_ID.pt: the state dict that was tested, exactly as it was. The fixed bases that networks
compute when they are built are no part of it, so an MNIST-scale network takes 2 MB. A WRN-16-8 (44 MB) is not kept.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import models
from bench.errors import BenchError
from leaderboard.atomic import write_atomically
from leaderboard.records import Record, read_all

LARGEST = 16_000_000  # bytes


def weights_path(results: Path, run_id: str) -> Path:
    """Where the weights of a run are kept."""
    return results / "weights" / f"{run_id}.pt"


def keep_weights(results: Path, run_id: str, weights: dict[str, Tensor]) -> None:
    """Store the weights, atomically, if they are small. Raises RecordError: the file cannot be written."""
    if sum(value.numel() * value.element_size() for value in weights.values()) > LARGEST:
        return
    content = io.BytesIO()
    torch.save({"run_id": run_id, "weights": {name: value.cpu() for name, value in weights.items()}}, content)
    write_atomically(weights_path(results, run_id), content.getvalue())


def find_run(results: Path, run_id: str) -> Record:
    """The record of a finished run. Raises BenchError: there is none of that id; RecordError: no such folder."""
    finished = [record for record in read_all(results)[0] if record.status == "ok"]
    for record in finished:
        if record.run_id == run_id:
            return record
    known = ", ".join(record.run_id for record in finished[:5]) or "none"
    raise BenchError(f"no finished run {run_id!r} under {str(results)!r}; there: {known}{', ...' if len(finished) > 5 else ''}")


def trained_network(results: Path, record: Record, device: torch.device) -> nn.Module:
    """The run's network with the weights that were tested, in evaluation mode.

    Raises BenchError: its weights were not kept, the file is damaged, or it is of another network.
    """
    path = weights_path(results, record.run_id)
    if not path.exists():
        raise BenchError(
            f"{path} does not exist: this run's weights were not kept; to make them, move its record away and do it again: "
            f"{record.command} --results {results}"
        )
    network = models.create(record.model, record.task, **record.protocol.recipe.get("network", {}))
    try:
        stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if stored["run_id"] != record.run_id:
            raise ValueError("they are another run's")
        network.load_state_dict(stored["weights"])
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"the weights {path} cannot be used: {reason}; do the run again: {record.command}") from error
    network.to(device)
    network.eval()  # not chained: a network's own `eval` or `train` may forget to return it
    return network
