"""Synthetic records for the tests: valid ones, of any size, without a run behind them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from leaderboard.records.schema import Record

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "cuda_graph": False, "compile": False, "batch_split": 1, "channels_last": False, "evaluation_batch": 500, "jobs": 1,
}  # fmt: skip


def make_record(
    model: str = "cnn",
    task: str = "mnist-scale-28",
    realization: int = 0,
    *,
    protocol: str = "paper",
    smoke: bool = False,
    digest: str = "d1",
    recipe: dict[str, Any] | None = None,
    variant: str = "10k-2k-50k",
    fingerprint: str | None = None,
    wrong: int = 20,
    test_count: int = 1000,
    parameters: int = 494549,
    seconds: tuple[float, ...] = (1.0, 3.0, 2.0),
    hardware: dict[str, Any] | None = None,
    software: dict[str, Any] | None = None,
    execution: dict[str, Any] | None = None,
    command: str | None = None,
    failure: dict[str, Any] | None = None,
    finished_after: float = 60.0,
    run_id: str | None = None,
) -> Record:
    """A record with ``wrong`` wrong answers among ``test_count``, or one of a failed run when ``failure`` is given.

    ``execution``: what of it is not ``PLAIN``; None: a record from before there was the field.
    """
    picks = random.Random(realization).sample(range(test_count), wrong)
    metrics = {
        "test_error": 100 * wrong / test_count,
        "test_count": test_count,
        "best_epoch": 2,
        "validation_error_curve": [5.0, 4.0, 3.0],
        "train_loss_curve": [0.5, 0.4, 0.3],
        "error_by_scale": [{"low": 0.3, "high": 1.0, "count": test_count, "wrong": wrong}],
        "wrong_answers": [(index, index % 10) for index in sorted(picks)],
    }
    timings = {
        "train_seconds_per_epoch": list(seconds),
        "validation_seconds_per_epoch": [0.1],
        "test_seconds": 0.5,
        "total_seconds": finished_after,
    }
    machine = {
        "device": "cuda", "name": "Test GPU", "cores": 16, "threads": 16, "memory_bytes": 2**37, "driver": "1.2",
        "clocks_mhz": {"sm": 1980}, "power_cap_watts": 700.0, "other_processes": 0,
    }  # fmt: skip
    versions = {
        "python": "3.11.9", "torch": "2.11.0", "numpy": "2.1.0", "platform": "Linux", "cuda": "12.8",
        "git_commit": "0123456789abcdef", "git_dirty": False, "scalebench": "0.1.0",
    }  # fmt: skip
    values = {
        "schema_version": 1,
        "run_id": run_id or f"{model}_{task}_r{realization}_{protocol}_{digest}_{variant}",
        "status": "ok" if failure is None else "failed",
        "model": model,
        "task": task,
        "realization": realization,
        "protocol": {
            "name": protocol, "smoke": smoke, "digest": digest,
            "recipe": {"epochs": 3, "realizations": [0, 1, 2, 3, 4, 5]} if recipe is None else recipe,
        },
        "execution": None if execution is None else PLAIN | execution,
        "data": {"variant": variant, "fingerprint": fingerprint or f"data-{task}-{realization}"},
        "parameters": parameters if failure is None else None,
        "metrics": metrics if failure is None else None,
        "timings": timings if failure is None else None,
        "peak_memory_bytes": 2**30,
        "hardware": machine | (hardware or {}),
        "software": versions | (software or {}),
        "seeds": {"weights": 7},
        "started": START,
        "finished": START + timedelta(seconds=finished_after),
        "command": command or f"bench run --model {model} --task {task} --realizations {realization}",
        "failure": failure,
    }  # fmt: skip
    return Record.model_validate(values)


def changed(record: Record, **values: Any) -> Record:
    """The record with some top-level fields changed, validated again."""
    return Record.model_validate(record.model_dump() | values)
