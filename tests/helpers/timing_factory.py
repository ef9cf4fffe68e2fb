"""Synthetic timings of two devices, without a step behind them."""

from typing import Any

from record_factory import START, make_record

from leaderboard.records.timing import Timing

TASK = "mnist-scale-28"
CPU = {"device": "cpu", "name": "Slow CPU", "threads": 2}
GPU = {"device": "cuda", "name": "Fast GPU"}
# Milliseconds of a step: on the GPU `b` overtakes `a`.
MS = {"Slow CPU": {"cnn": 100, "a": 200, "b": 400}, "Fast GPU": {"cnn": 1, "a": 8, "b": 4}}


def a_timing(model: str = "cnn", hardware: dict[str, Any] = CPU, ms: float = 100.0, **changes: Any) -> Timing:
    run = make_record(hardware=hardware)
    said = {
        "name": f"{hardware['name'].replace(' ', '-')}-{model}", "model": model, "task": TASK, "measured": START,
        "command": "bench time", "hardware": run.hardware, "software": run.software, "batch_size": 128, "precision": "float32",
        "warm_up": "a rule", "step_seconds": [ms / 1000, ms / 900, ms / 1100], "inference_seconds": [ms / 4000],
        "latency_seconds": [0.001], "graph_step_seconds": None, "compile_seconds": None, "compiled_step_seconds": None,
        "peak_memory_bytes": 10**9, "step_operations": 10**10, "step_bytes": 10**9, "matmul_rate": 1e14, "copy_rate": 1e13,
        "states": [], "others_share": 0.0, "tainted": [], "notes": [],
    }  # fmt: skip
    return Timing.model_validate(said | changes)


def two_devices() -> list[Timing]:
    return [a_timing(model, on, MS[on["name"]][model]) for on in (CPU, GPU) for model in ("cnn", "a", "b")]
