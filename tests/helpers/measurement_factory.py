"""Synthetic measurements for the tests, without a network behind them."""

from datetime import timedelta
from typing import Any

from record_factory import START, make_record

from leaderboard.records.equivariance import Equivariance
from leaderboard.records.repeat import Repeat, repeat_of
from leaderboard.records.scale_sweep import ScaleSweep
from leaderboard.records.schema import Record


def _common(model: str, task: str) -> dict[str, Any]:
    run = make_record()
    said = {"model": model, "task": task, "measured": START, "data_fingerprint": "data"}
    return said | {"hardware": run.hardware, "software": run.software}


def make_equivariance(model: str = "cnn", task: str = "mnist-scale-28", *, run_id: str | None = None, **changes: Any) -> Any:
    """At initialisation (seed 0) or, where a run is named, trained."""
    trained = run_id is not None
    values = {
        "name": run_id or "initialisation-seed0", "command": "bench equivariance",
        "state": "trained" if trained else "initialisation", "weights_seed": None if trained else 0,
        "run_id": run_id, "protocol": "short" if trained else None, "images": "the first 8", "image_count": 8,
        "resampling": "cubic", "reference_scale": 0.625, "factors": [0.5, 0.8, 1.6], "canvas": 112, "interior": 56, "shift": 4,
        "layers": [
            {"name": "layer 1", "shape": [32, 112, 112], "scale": [0.3, 0.1, 0.2], "translation": 0.0},
            {"name": "layer 2", "shape": [63, 56, 56], "scale": [0.6, 0.2, 0.4], "translation": 1e-13},
        ],
        "network": {"name": "logits", "shape": [10], "scale": [0.9, 0.3, 0.5], "translation": 0.25},
        "changed_answers": [0.5, 0.125, 0.25],
    }  # fmt: skip
    return Equivariance.model_validate(_common(model, task) | values | changes)


def make_scale_sweep(model: str = "cnn", task: str = "mnist-scale-28", realization: int = 0, **changes: Any) -> Any:
    """Three factors, 1000 digits each."""
    run_id = f"{model}_{task}_r{realization}_short_d1"
    values = {
        "name": run_id, "command": f"bench scale-sweep {run_id}", "run_id": run_id, "realization": realization,
        "protocol": "short", "protocol_digest": "d1", "trained_range": (0.3, 1.0),
        "own_sizes_count": 1000, "own_sizes_wrong": 30,
        "factors": [{"factor": f, "count": 1000, "wrong": w} for f, w in ((0.2, 600), (0.5, 40), (2.0, 700))],
    }  # fmt: skip
    return ScaleSweep.model_validate(_common(model, task) | values | changes)


def make_repeat(
    record: Record, *, by: str = "Ada", wrong: int | None = None, verdict: str = "within chance", **hardware: Any
) -> Repeat:
    """A repeat of the record on "Another GPU", with so many wrong answers; ``hardware``: what of it is another than that."""
    again = record
    if wrong is not None:
        kept = record.metrics.model_copy(update={"wrong_answers": record.metrics.wrong_answers[:wrong]})
        again = record.model_copy(update={"metrics": kept})
    machine = record.hardware.model_copy(update={"name": "Another GPU"} | hardware)
    again = again.model_copy(update={"hardware": machine, "finished": START + timedelta(days=1)})
    return repeat_of(record, again, verdict, 0.5, ["in words"], by=by, command="bench verify")
