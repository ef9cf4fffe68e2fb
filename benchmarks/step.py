"""A training step with the fast layers against the same step with plain ones (models/reference.py), alternating in one process.

    python benchmarks/step.py [--repeats 3] [--task mnist-scale-28] [MODEL ...]

Both in float32 on the CPU with the same memory settings; prints median seconds, their ratio, and the most that each
allocated for tensors during a step beyond what it began with.
"""

import argparse
import statistics
import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

import datasets
import models
from bench.machine.device import reuse_memory, set_numerics
from bench.measure.profiling import high_water
from models.reference import plain_layers


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
    torch.manual_seed(0)
    network = models.create(model, task)
    optimizer = torch.optim.Adam(network.parameters())
    images, labels = torch.randn(batch_size, *datasets.image_shape(task)), torch.arange(batch_size) % 10

    def step(layers: AbstractContextManager[None]) -> float:
        started = time.perf_counter()
        with layers:
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
        return time.perf_counter() - started

    def memory(layers: AbstractContextManager[None]) -> float:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            step(layers)
        return high_water(seen.profiler.kineto_results.events(), torch.device("cpu")) / 1e6

    slow_memory, fast_memory = memory(plain_layers(network)), memory(nullcontext())  # warms both up
    samples = [(step(plain_layers(network)), step(nullcontext())) for _ in range(repeats)]
    slow, fast = (statistics.median(column) for column in zip(*samples, strict=True))
    return f"| {model} | {task} | {slow:.3f} | {fast:.3f} | {slow / fast:.1f} | {slow_memory:.0f} | {fast_memory:.0f} |"


if __name__ == "__main__":
    main()
