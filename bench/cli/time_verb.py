"""`bench time`: what a training step and an inference cost."""

from __future__ import annotations

from typing import Annotated

import typer


def time_models(
    everything: Annotated[bool, typer.Option("--all", help="Every model on mnist-scale-28 and mnist-scale-56.")] = False,
    model: Annotated[list[str] | None, typer.Option(help="Model name or glob. Repeatable.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task name or glob. Repeatable.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=2, help="Images per step.")] = 128,
    repeats: Annotated[int, typer.Option(min=1, help="Samples; the median is printed.")] = 5,
) -> None:
    """Time the training step and inference of models, float32, each in a process of its own."""
    from bench.errors import BenchError
    from bench.plan import match_models, match_tasks

    if not (everything or model):
        raise BenchError("say what to time: --all or --model NAME (see `bench list models`)")
    pairs = match_models(model or ["*"], match_tasks(task or ["mnist-scale-28", "mnist-scale-56"]))

    from bench.timing import time_model

    columns = f"{'step ms':>9} {'inference ms':>13} {'peak MB':>8} {'GFLOP/step':>11} {'of matmul rate':>15}"
    print(f"{'model':<16} {'task':<16} {columns}", flush=True)
    for name, on in pairs:
        timing = time_model(name, on, device, batch_size, repeats)
        memory = "?" if timing.peak_memory_bytes is None else f"{timing.peak_memory_bytes / 1e6:.0f}"
        print(
            f"{name:<16} {on:<16} {1000 * timing.step:>9.0f} {1000 * timing.inference:>13.0f} {memory:>8} "
            f"{timing.step_operations / 1e9:>11.1f} {timing.rate_fraction:>14.0%}",
            flush=True,
        )
    print(f"float32, batch {batch_size}, {timing.device}, {timing.threads} threads, median of {repeats} after 2 warm-up calls")
