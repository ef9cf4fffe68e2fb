"""`bench time`: what a training step and an inference cost; a record of each in the folder of timings."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bench.cli.options import BatchSize, Device, Plugin, Precision, Task, check_precision, load_plugins

if TYPE_CHECKING:
    from leaderboard.records.timing import Timing


def time(
    everything: Annotated[bool, Option("--all", help="Every model on mnist-scale-28 and mnist-scale-56.")] = False,
    model: Annotated[list[str] | None, Option(help="Model name or glob. Repeatable.")] = None,
    task: Task = None,
    device: Device = "auto",
    batch_size: BatchSize = 128,
    precision: Precision = "float32",
    repeats: Annotated[int | None, Option(min=1, help="Samples of each quantity. Default: 5 on the CPU, 50 on CUDA.")] = None,
    compiled: Annotated[bool, Option("--compile", help="Also time the step through torch.compile.")] = False,
    together: Annotated[
        bool, Option("--together", help="All models in one process: no start for each, but no fresh memory either.")
    ] = False,
    plugin: Plugin = None,
    records: Annotated[Path, Option(help="Where the timings' records go.")] = Path("results"),
) -> int:
    """Time the training step and inference of models, each in a process of its own, and keep the raw samples.

    A model that fails costs itself alone; the exit code is then 1.
    """
    from bench.cli.keep_going import KeepGoing
    from bench.errors import BenchError
    from bench.plan import match_models, match_tasks
    from bench.results import check_writable
    from models.registry.catalogue import strangers_ran

    load_plugins(plugin)
    if not (everything or model or task):
        raise BenchError("say what to time: --all, --model NAME or --task NAME (see `bench list models`)")
    check_precision(precision)
    pairs = match_models(model or ["*"], match_tasks(task or ["mnist-scale-28", "mnist-scale-56"]))
    if together and strangers_ran():
        print("bench: --together is for built-in models alone, and others were loaded: a process for each", file=sys.stderr)
        together = False

    from bench.machine.device import check_tf32, choose_device
    from bench.measure.timing import TimingConfig, time_here, time_model

    chosen, plugins = choose_device(device), tuple(str(file) for file in plugin or [])
    check_tf32(precision, chosen)
    check_writable(records, "--records")
    header = f"{'step ms':>21} {'images/s':>9} {'latency ms':>11} {'peak MB':>8} {'GFLOP':>7} {'matmul':>7} {'copy':>5}"
    print(f"{'model':<16} {'task':<16}{header}", flush=True)
    session, timings, timer = KeepGoing(records), [], time_here if together else time_model
    for name, on in pairs:
        config = TimingConfig(name, on, str(chosen), batch_size, precision, repeats, compiled, plugins, together)
        if (timing := session.measure(partial(timer, config))) is not None:
            timings.append(timing)
            print(_line(timing), flush=True)
    if not timings:
        return 1
    hardware, count = timings[0].hardware, len(timings[0].step_seconds)
    print(f"{precision}, batch {batch_size}, {hardware.name}, {hardware.threads} threads; median and quartiles of {count};")
    print(f"{timings[0].warm_up};")
    print("matmul, copy: the step's counted operations and bytes per second, as a part of a large matrix product's and copy's")
    print(f"records: {records / 'timings'}; {sum(bool(timing.tainted) for timing in timings)} of {len(timings)} tainted")
    return session.exit_code


def _line(timing: Timing) -> str:
    from leaderboard.records.timing import quartiles

    step, inference, latency = map(quartiles, (timing.step_seconds, timing.inference_seconds, timing.latency_seconds))
    memory = "?" if timing.peak_memory_bytes is None else f"{timing.peak_memory_bytes / 1e6:.0f}"
    spread = f"{1000 * step.median:.4g} ({1000 * step.low:.4g}-{1000 * step.high:.4g})"
    extra = [f"tainted: {reason}" for reason in timing.tainted[:1]] + list(timing.notes)
    if timing.graph_step_seconds:
        extra.append(f"as a CUDA graph {1000 * quartiles(timing.graph_step_seconds).median:.4g} ms")
    if timing.compiled_step_seconds:
        compiled = quartiles(timing.compiled_step_seconds).median
        extra.append(f"compiled {1000 * compiled:.4g} ms after {timing.compile_seconds:.0f} s")
    return (
        f"{timing.model:<16} {timing.task:<16}{spread:>21} {timing.batch_size / inference.median:>9.0f} "
        f"{1000 * latency.median:>11.3g} {memory:>8} {timing.step_operations / 1e9:>7.1f} {timing.matmul_fraction:>7.0%} "
        f"{timing.copy_fraction:>5.0%}{'  ' if extra else ''}{'; '.join(extra)}"
    )
