"""How long a model's training step and inference take, and what they ask of the device: each model in a process of its own.

The step is the one that a run of the protocol `paper` takes (its optimizer, its loss), on random images, without anything else
that belongs to a run: a timing never trains, and a run's record never stands for a timing.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

import models
from bench.errors import BenchError
from bench.machine.background_load import BackgroundLoad, gpu_state, taints
from bench.machine.device import autocast, choose_device, on, peak_memory, reset_peak_memory, reuse_memory, set_numerics
from bench.machine.hardware import measured_here
from bench.measure.isolated import isolated
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import WARM_UP, copy_rate, count, latencies, matmul_rate, samples, seconds
from bench.plan import Run
from bench.step_code.identity import code_timed
from bench.training.evaluate import logits
from bench.training.graphs import NotCaptured
from leaderboard.errors import one_line
from leaderboard.records.timing import DeviceState, Timing
from models.errors import said

REPEATS = {"cpu": 5, "cuda": 50}


@dataclass(frozen=True)
class TimingConfig:
    """What to time, and how. `repeats`: samples of each quantity (None: 5 on the CPU, 50 on CUDA)."""

    model: str
    task: str
    device: str = "auto"
    batch_size: int = 128
    precision: str = "float32"
    repeats: int | None = None
    compile: bool = False
    plugins: tuple[str, ...] = ()
    together: bool = False  # with other models in one process

    @property
    def what(self) -> str:
        """What is done, for messages."""
        return f"timing {self.model} on {self.task}"

    @property
    def command(self) -> str:
        """What to type to time this again."""
        words = ["bench", "time", "--model", self.model, "--task", self.task, "--device", self.device]
        words += ["--batch-size", str(self.batch_size), "--precision", self.precision]
        words += [] if self.repeats is None else ["--repeats", str(self.repeats)]
        words += [*(["--compile"] if self.compile else []), *(["--together"] if self.together else [])]
        return shlex.join([*words, *(word for plugin in self.plugins for word in ("--plugin", plugin))])


def time_model(config: TimingConfig) -> Timing:
    """Time one model in a fresh process. Raises BenchError: it failed, or the process did."""
    plugin = models.info(config.model, config.task).plugin
    return isolated(Timing, config.what, "bench.measure.timing:measure", plugin, config=asdict(config))


def time_here(config: TimingConfig) -> Timing:
    """Time one model in this process, after others. Raises BenchError: it failed."""
    try:
        return measure(config)
    except Exception as error:  # a model may fail in any way; the others go on
        raise BenchError(f"{config.what} failed: {one_line(said(error))}") from error


def measure(config: TimingConfig) -> Timing:
    """Time one model in this process. Raises whatever the model may raise."""
    device = choose_device(config.device)
    with on(device):
        return _measure(config, device)


def _measure(config: TimingConfig, device: torch.device) -> Timing:
    set_numerics(config.precision, device)
    reuse_memory()
    torch.zeros(1, device=device)  # the context, of which the card's state is told
    load, states = BackgroundLoad(), _states(device, "before")
    run = timed_run(config.model, config.task, config.batch_size, config.precision)
    repeats = config.repeats or REPEATS[device.type]
    quantities = _quantities(run, device, repeats, states)
    share = load.share()  # before anything is compiled, which is done in other processes
    quantities |= _compiled(run, device, repeats, config.compile) | _graphed(run, device, repeats)
    states += _states(device, "after")
    measured = measured_here(device, config.command)
    device_name = re.sub(r"[^a-z0-9]+", "-", measured["hardware"].name.lower()).strip("-") or device.type
    timing = Timing(
        name=f"{device_name}_{config.precision}_b{config.batch_size}_{measured['measured']:%Y%m%dT%H%M%S.%f}"[:200],
        model=config.model,
        task=config.task,
        **measured,
        batch_size=config.batch_size,
        precision=run.recipe.precision,
        warm_up=WARM_UP,
        states=states,
        background_load=share,
        tainted=_tainted(device, states, share),
        code=code_timed(config.model, config.task),
        **quantities,
    )
    return timing.model_copy(update={"tainted": timing.taints})


def _tainted(device: torch.device, states: list[DeviceState], share: float | None) -> list[str]:
    if device.type == "cpu" and share is None:
        return ["the system does not say who else used the processors"]
    return taints(states, share if device.type == "cpu" else None)


def _states(device: torch.device, when: Any) -> list[DeviceState]:
    return [gpu_state(device, when)] if device.type == "cuda" else []


def _quantities(run: Run, device: torch.device, repeats: int, states: list[DeviceState]) -> dict[str, Any]:
    """What is measured of every model; the card's state while it works is added to `states`."""
    precision = run.recipe.precision
    rates = {"matmul_rate": matmul_rate(device, precision), "copy_rate": copy_rate(device)}
    step = TimedStep(run, device)
    reset_peak_memory(device)
    started = time.perf_counter()
    counted = count(step)  # on the CPU the first of the warm-up's calls; a card's clocks rise only under the plain step's load
    warmed = time.perf_counter() - started if device.type == "cpu" else 0.0
    steps = samples(step, device, repeats, warmed=warmed, busy=lambda: states.extend(_states(device, "busy")))
    memory = peak_memory(device)
    network, images = step.network, step.batch.images
    network.eval()
    with torch.no_grad(), autocast(precision, device):
        logits(network(images), images)  # raises where it gives something else in evaluation
        inferences = samples(lambda: network(images), device, repeats)
        latency = latencies(lambda: network(images[:1]), device, repeats)
    return {
        **rates,
        "step_seconds": steps,
        "inference_seconds": inferences,
        "latency_seconds": latency,
        "peak_memory_bytes": memory,
        "step_operations": counted.operations,
        "step_bytes": counted.bytes,
    }


def _compiled(run: Run, device: torch.device, repeats: int, wanted: bool) -> dict[str, Any]:
    """The step through torch.compile; its first call, the compilation, apart."""
    if not wanted:
        return {"compile_seconds": None, "compiled_step_seconds": None}
    step = TimedStep(run, device, compiled=True)
    first = seconds(step, device)
    return {"compile_seconds": first, "compiled_step_seconds": samples(step, device, repeats)}


def _graphed(run: Run, device: torch.device, repeats: int) -> dict[str, Any]:
    """The step as a CUDA graph; why not, where a network cannot be captured."""
    if device.type != "cuda":
        return {"graph_step_seconds": None, "notes": []}
    step = TimedStep(run, device)
    try:
        return {"graph_step_seconds": samples(step.capture(), device, repeats), "notes": []}
    except NotCaptured as error:
        return {"graph_step_seconds": None, "notes": [f"no CUDA graph: {error}"]}
