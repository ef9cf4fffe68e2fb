"""What the data cost: augmentation, shuffling and normalisation of a whole epoch against its training steps, per model.

    python benchmarks/data_share.py [--task mnist-scale-28+] [--repeats 3] [MODEL ...]

The real data of realization 0 on the CPU, the protocol `paper`. Steps of stl10+ are taken at batch 4, so as to fit, and counted
per image. Prints processor seconds, which other work on the machine changes least, and the share in wall-clock time beside it.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import datasets
import models
from bench.machine.device import reuse_memory, set_numerics
from bench.measure.timed_step import TimedStep, timed_run
from bench.training.data import Epoch, load_split

CPU = torch.device("cpu")


def main() -> None:
    """Measure every model on every task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--task", action="append")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    set_numerics("float32")
    reuse_memory()
    print(f"float32, {torch.get_num_threads()} threads, median of {arguments.repeats} after 1")
    print("| task | model | data s (cpu) | steps s (cpu) | share (cpu) | share (wall) |\n|---|---|---:|---:|---:|---:|")
    for task in arguments.task or datasets.TASKS:
        run = timed_run("cnn", task, 128, "float32")
        split = load_split(run, "train", CPU)

        def data(split=split, recipe=run.recipe) -> None:
            epoch = Epoch(split, recipe, torch.Generator().manual_seed(0))
            for number in range(len(epoch)):
                epoch.batch(number)

        data_wall, data_cpu = median(data, arguments.repeats)
        for model in arguments.models or models.list_models(task):
            batch = 4 if task == datasets.STL10 else 128
            step = median(TimedStep(timed_run(model, task, batch, "float32"), CPU), arguments.repeats)
            wall, cpu = (seconds * len(split.labels) / batch for seconds in step)
            shares = f"{data_cpu / (data_cpu + cpu):.2%} | {data_wall / (data_wall + wall):.2%}"
            print(f"| {task} | {model} | {data_cpu:.3f} | {cpu:.1f} | {shares} |", flush=True)


def median(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Wall-clock and processor seconds of a call, each the median after one that is left out."""
    call()
    samples = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        samples.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*samples, strict=True)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    main()
