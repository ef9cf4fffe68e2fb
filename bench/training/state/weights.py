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

from bench.commands import repeat_command
from bench.errors import BenchError
from bench.results import weights_path
from bench.training.state.network_state import StateDict, form_of, map_tensors, restore
from bench.training.step import FEW, blank_images, build_network
from leaderboard.records.atomic import write_atomically
from leaderboard.records.schema import Record

LARGEST = 16_000_000  # bytes


def keep_weights(results: Path, run_id: str, weights: StateDict, form: str) -> None:
    """Store the weights, atomically, if they are small, and the form of their network (`network_state.form_of`).

    Raises RecordError: the file cannot be written.
    """
    sizes = (len(value) if isinstance(value, bytes) else value.numel() * value.element_size() for value in weights.values())
    if sum(sizes) > LARGEST:
        return
    content = io.BytesIO()
    torch.save({"run_id": run_id, "form": form, "weights": map_tensors(weights, Tensor.cpu)}, content)
    write_atomically(weights_path(results, run_id), content.getvalue())


def trained_network(results: Path, record: Record, device: torch.device) -> nn.Module:
    """The run's network with the weights that were tested, in evaluation mode.

    Raises BenchError: its weights were not kept, the file is damaged, or it is of another network.
    """
    path = weights_path(results, record.run_id)
    if not path.exists():
        raise BenchError(
            f"{path} does not exist: this run's weights were not kept; to make them, move its record away and do it again: "
            f"{repeat_command(record, results)}"
        )
    recipe = record.protocol.recipe
    pixels = recipe["data"].get("central_pixels")
    network = build_network(record.model, record.task, pixels, device, **recipe.get("network", {}))
    try:
        stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if stored["run_id"] != record.run_id:
            raise ValueError("they are another run's")
        if "form" not in stored:  # as those of earlier versions: then nothing may differ
            network.train()
            network.load_state_dict(stored["weights"])
        elif stored["form"] != form_of(network):
            raise ValueError("they are of another network than this model is today")
        else:
            restore(network, stored["weights"], blank_images(record.task, pixels, FEW, device))
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"the weights {path} cannot be used: {reason}; do the run again: {repeat_command(record, results)}"
        ) from error
    network.eval()  # not chained: a network's own `eval` or `train` may forget to return it
    return network
