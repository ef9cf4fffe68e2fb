"""Where a training step's time and memory go, as torch's profiler sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined] # torch does not list it
from torch.profiler import ProfilerActivity

from bench.machine.device import choose_device, on, reuse_memory, set_numerics
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import seconds


@dataclass(frozen=True)
class Operator:
    """An operator with all its calls in a step: seconds in itself, without the operators that it calls."""

    name: str
    seconds: float
    calls: int


@dataclass(frozen=True)
class Profile:
    """One step. `kernels`: launched on CUDA (None on the CPU). `high_water`: the most bytes that it had allocated for tensors
    beyond what it began with. `operators`: the slowest first."""

    seconds: float
    operators: list[Operator]
    kernels: int | None
    high_water: int


def profile_model(model: str, task: str, device: str, batch_size: int, precision: str, trace: Path) -> Profile:
    """Profile a fresh network's step in this process. Raises whatever the model may raise, and OSError."""
    chosen = choose_device(device)
    set_numerics(precision, chosen)
    reuse_memory()
    with on(chosen):
        return profile_step(TimedStep(timed_run(model, task, batch_size, precision), chosen), chosen, trace)


def profile_step(step: Callable[[], object], device: torch.device, trace: Path | None = None) -> Profile:
    """Profile one step, another having warmed it up; `trace`: a file for chrome://tracing or Perfetto (.json or .json.gz)."""
    step()
    plain = seconds(step, device)
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with torch.profiler.profile(activities=activities, profile_memory=True) as seen:
        seconds(step, device)
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
        seen.export_chrome_trace(str(trace))
    events = list(seen.profiler.kineto_results.events())
    kernels = [event for event in events if event.device_type() == DeviceType.CUDA]
    field = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    found = [Operator(item.key, getattr(item, field) / 1e6, item.count) for item in seen.key_averages()]
    operators = sorted((item for item in found if item.seconds > 0), key=lambda item: (-item.seconds, item.name))
    return Profile(plain, operators, len(kernels) if on_cuda else None, high_water(events, device))


def high_water(events: Iterable[Any], device: torch.device) -> int:
    """The most bytes allocated at once beyond what was at first: from allocations and releases in order of their moments."""
    kind = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    changes = [
        (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]" and event.device_type() == kind
    ]
    return int(max(accumulate((size for _, size in sorted(changes)), initial=0)))
