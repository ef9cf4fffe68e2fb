"""The weights of finished runs, kept beside their records for whoever needs the trained network.

One file per run, `results`/weights/RUN_ID.safetensors: the state dict that was tested, exactly as it was, and in the file's
header, under the one key "equiscale", what it is of, as JSON. The same weights give the same bytes, whose SHA-256 the record
holds; no code is run by reading them. The fixed bases that networks compute when they are built are no part of it, so an
MNIST-scale network takes 2 MB. A WRN-16-8 (44 MB) is not kept. A state that safetensors cannot hold (sparse tensors, a module's
extra state) is in RUN_ID.pt, which torch writes and reads with `weights_only`; so are the weights of earlier versions.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.commands import repeat_command
from bench.errors import BenchError
from bench.results import put_weights, weights_path
from bench.training.state.network_state import StateDict, form_of, map_tensors, reason, restore
from bench.training.step import FEW, blank_images, build_network
from leaderboard.records.schema import Record

LARGEST = 16_000_000  # bytes
ABOUT = "equiscale"  # the header's only key: safetensors writes several in any order


def keep_weights(
    results: Path, record: Record, weights: StateDict, form: str, say: Callable[[str], None] = print
) -> str | None:
    """Store the weights, atomically, if they are small; the SHA-256 of the file, None if they are not kept.

    `form`: of their network (`network_state.form_of`). Where safetensors cannot hold them, `say` is told.
    Raises RecordError: the file cannot be written.
    """
    sizes = (len(value) if isinstance(value, bytes) else value.numel() * value.element_size() for value in weights.values())
    if sum(sizes) > LARGEST:
        return None
    on_host = map_tensors(weights, Tensor.cpu)
    try:
        content = _as_safetensors(on_host, _about(record, form))
    except Exception as error:  # it and torch refuse in many ways; it may not be installed either
        content = _as_torch_file({"run_id": record.run_id, "form": form, "weights": on_host})
        say(f"{record.run_id}: its weights are kept in torch's own format, as safetensors cannot hold them ({reason(error)})")
    put_weights(results, record.run_id, content)
    return hashlib.sha256(content).hexdigest()


def trained_network(results: Path, record: Record, device: torch.device) -> nn.Module:
    """The run's network with the weights that were tested, in evaluation mode.

    Raises BenchError: its weights were not kept, the file is damaged, or it is of another run or network.
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
        content = path.read_bytes()
        stored = _read(content, path.suffix)
        if stored["run_id"] != record.run_id:
            raise ValueError("they are another run's")
        if record.weights_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("their SHA-256 is not the one in the run's record")
        if "form" not in stored:  # as those of earlier versions: then nothing may differ
            network.train()
            network.load_state_dict(stored["weights"])
        elif stored["form"] != form_of(network):
            raise ValueError("they are of another network than this model is today")
        else:
            restore(network, stored["weights"], blank_images(record.task, pixels, FEW, device))
    except Exception as error:  # torch raises many kinds for a damaged file
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"the weights {path} cannot be used: {why}; do the run again: {repeat_command(record, results)}"
        ) from error
    network.eval()  # not chained: a network's own `eval` or `train` may forget to return it
    return network


def _about(record: Record, form: str) -> dict[str, Any]:
    """What the weights are of, for whoever finds the file without its record."""
    return {
        "run_id": record.run_id,
        "model": record.model,
        "source": record.source,
        "task": record.task,
        "realization": record.realization,
        "protocol": record.protocol.name,
        "recipe_digest": record.protocol.digest,
        "data_fingerprint": record.data.fingerprint,
        "version": record.software.scalebench,
        "commit": record.software.git_commit,
        "form": form,
    }


def _as_safetensors(weights: StateDict, about: Mapping[str, Any]) -> bytes:
    """Raises whatever safetensors, torch or JSON raise for what they cannot hold; ImportError: safetensors is not installed."""
    from safetensors.torch import save

    tensors = {}
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name!r} is no tensor")
        if value.layout != torch.strided:
            raise ValueError(f"{name!r} is sparse")
        tensors[name] = value.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)  # none shares memory
    versions = getattr(weights, "_metadata", {})  # of modules, which torch's state dicts carry beside their items
    text = json.dumps({**about, "versions": versions}, allow_nan=False)
    if json.loads(text)["versions"] != versions:
        raise ValueError("the versions of its modules are no plain JSON")
    content: bytes = save(tensors, {ABOUT: text})
    return content


def _as_torch_file(stored: Mapping[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(dict(stored), content)
    return content.getvalue()


def _read(content: bytes, suffix: str) -> dict[str, Any]:
    """Of a file in either format "run_id", "form" and "weights"; as others raise for one that is damaged."""
    if suffix == ".pt":
        stored: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return stored
    from safetensors.torch import load

    length = int.from_bytes(content[:8], "little")  # of the header, which is JSON
    weights = OrderedDict(load(content))
    about: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][ABOUT])
    weights.__dict__["_metadata"] = OrderedDict(about.pop("versions"))
    return {**about, "weights": weights}
