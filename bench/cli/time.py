"""`bench time`: what a training step and an inference cost; a record of each in the folder of timings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    stale: Annotated[
        bool,
        Option(
            "--stale",
            help="Only what was timed on this device with code that has changed since, the cheapest first, with the batch "
            "size, precision and samples that it had. Looks into --records, and into records.",
        ),
    ] = False,
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
    if not (everything or model or task or stale):
        raise BenchError("say what to time: --all, --stale, --model NAME or --task NAME (see `bench list models`)")
    check_precision(precision)
    tasks = match_tasks(task or (["*"] if stale else ["mnist-scale-28", "mnist-scale-56"]))
    pairs = [] if stale else match_models(model or ["*"], tasks)
    if together and strangers_ran():
        print("bench: --together is for built-in models alone, and others were loaded: a process for each", file=sys.stderr)
        together = False

    from bench.machine.device import check_tf32, choose_device
    from bench.measure.timing import TimingConfig, time_here, time_model
    from bench.measure.timing_plan import ToGo, earlier_timings, stale_configs
    from bench.scheduling.estimate import clock_text

    chosen, plugins = choose_device(device), tuple(str(file) for file in plugin or [])
    check_tf32(precision, chosen)
    check_writable(records, "--records")
    earlier = earlier_timings([records, Path("records")], chosen)
    configs = [TimingConfig(*pair, str(chosen), batch_size, precision, repeats, compiled, plugins, together) for pair in pairs]
    configs += stale_configs(earlier, chosen, model or ["*"], tasks) if stale else []
    if not configs:
        print(f"nothing to time: what was timed on this device, below {records} and records, is of today's code")
        return 0
    print(_HEADER, flush=True)
    session, timings, to_go = KeepGoing(records), [], ToGo(configs, earlier)
    for index, config in enumerate(configs, 1):
        timer = time_here if config.together and not strangers_ran() else time_model
        if (timing := session.measure(partial(timer, config))) is not None:
            timings.append(timing)
            print(_line(timing), flush=True)
        left = to_go.after_one()
        if index < len(configs):
            print(f"bench: {index} of {len(configs)}, about {clock_text(left)} to go", file=sys.stderr, flush=True)
    if not timings:
        return 1
    _summary(timings, records)
    return session.exit_code


_HEADER = (
    f"{'model':<16} {'task':<16}{'step ms':>21} {'images/s':>9} {'latency ms':>11} {'peak MB':>8} {'GFLOP':>7} "
    f"{'matmul':>7} {'copy':>5}"
)


def _summary(timings: Sequence[Timing], records: Path) -> None:
    """How they were measured, and where they are."""
    hardware = timings[0].hardware
    settings = {f"{timing.precision}, batch {timing.batch_size}, n = {len(timing.step_seconds)}" for timing in timings}
    print(f"{'; '.join(sorted(settings))}; {hardware.name}, {hardware.threads} threads; median and quartiles;")
    print(f"{timings[0].warm_up};")
    print("matmul, copy: the step's counted operations and bytes per second, as a part of a large matrix product's and copy's")
    print(f"records: {records / 'timings'}; {sum(bool(timing.taints) for timing in timings)} of {len(timings)} tainted")


def _line(timing: Timing) -> str:
    from leaderboard.records.timing import quartiles

    step, inference, latency = map(quartiles, (timing.step_seconds, timing.inference_seconds, timing.latency_seconds))
    memory = "?" if timing.peak_memory_bytes is None else f"{timing.peak_memory_bytes / 1e6:.0f}"
    spread = f"{1000 * step.median:.4g} ({1000 * step.low:.4g}-{1000 * step.high:.4g})"
    extra = [f"tainted: {reason}" for reason in timing.taints[:1]] + list(timing.notes)
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
