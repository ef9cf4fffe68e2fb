"""A training step with the fast layers against the same step with plain ones (models/reference.py), alternating in one process.

    python benchmarks/step.py [--repeats 3] [--task mnist-scale-28] [MODEL ...]

Both in float32 on the CPU with the same memory settings; prints median seconds, their ratio, and the most that each
allocated for tensors during a step beyond what it began with.
"""

import argparse
import statistics
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.profiler import ProfilerActivity, profile

import models
from bench.machine.device import reuse_memory, set_numerics
from bench.measure.profiling import high_water
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import seconds
from models.reference import plain_layers

CPU = torch.device("cpu")


def main() -> None:
    """Measure every model that has a plain form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--task", action="append")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    set_numerics("float32")
    reuse_memory()
    print(f"batch {arguments.batch_size}, float32, {torch.get_num_threads()} threads, median of {arguments.repeats} after 1")
    print("| model | task | plain s | fast s | ratio | plain MB | fast MB |\n|---|---|---:|---:|---:|---:|---:|")
    for task in arguments.task or ["mnist-scale-28", "mnist-scale-56"]:
        for model in arguments.models or models.list_models(task):
            print(row(model, task, arguments.batch_size, arguments.repeats), flush=True)


def row(model: str, task: str, batch_size: int, repeats: int) -> str:
    """One line of the table."""
    step = TimedStep(timed_run(model, task, batch_size, "float32"), CPU)

    def timed(layers: AbstractContextManager[None]) -> float:
        with layers:
            return seconds(step, CPU)

    def memory(layers: AbstractContextManager[None]) -> float:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            timed(layers)
        return high_water(seen.profiler.kineto_results.events(), CPU) / 1e6

    network = step.network
    slow_memory, fast_memory = memory(plain_layers(network)), memory(nullcontext())  # warms both up
    samples = [(timed(plain_layers(network)), timed(nullcontext())) for _ in range(repeats)]
    slow, fast = (statistics.median(column) for column in zip(*samples, strict=True))
    return f"| {model} | {task} | {slow:.3f} | {fast:.3f} | {slow / fast:.1f} | {slow_memory:.0f} | {fast_memory:.0f} |"


if __name__ == "__main__":
    main()
