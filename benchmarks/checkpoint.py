"""What saving a run's state costs: a save against an epoch of training steps, per model.

    python benchmarks/checkpoint.py [--repeats 7] [--records records] [--folder DIR] [MODEL ...]

A run's own Checkpoint.save, hashing, writing, syncing and renaming included, after one step at a small batch and with the best
weights kept as after a validation; median and worst of so many saves, each over the one before. The epoch is the committed
timing of a step (records/timings, this kind of machine) times the steps of the protocol `paper`.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

import datasets
from bench.measure.timed_step import TimedStep, timed_run
from bench.training.state.checkpoint import Checkpoint
from bench.training.state.network_state import state_of
from bench.training.state.run_state import Progress
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing

CPU = torch.device("cpu")


def main() -> None:
    """Measure every model with a committed timing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--records", type=Path, default=Path("records"))
    parser.add_argument("--folder", type=Path, help="On the disk to be measured. Default: the system's temporary one.")
    arguments = parser.parse_args()
    print("| task | model | MB | save ms (worst) | epoch s | share % |\n|---|---|---:|---:|---:|---:|")
    for timing in read_measurements(arguments.records, Timing)[0]:
        if timing.taints or (arguments.models and timing.model not in arguments.models):
            continue
        images = datasets.sizes(timing.task)["train"]
        epoch = timing.step * images / timing.batch_size
        size, saves = measure(timing.model, timing.task, arguments.repeats, arguments.folder)
        typical, worst = statistics.median(saves), max(saves)
        numbers = f"{size / 1e6:.1f} | {1000 * typical:.0f} ({1000 * worst:.0f}) | {epoch:.0f} | {100 * typical / epoch:.2f}"
        print(f"| {timing.task} | {timing.model} | {numbers} |", flush=True)


def measure(model: str, task: str, repeats: int, folder: Path | None) -> tuple[int, list[float]]:
    """Bytes of the file, and seconds of each save after the first."""
    step = TimedStep(timed_run(model, task, 2, "float32"), CPU)
    step()
    progress = Progress(epoch=1)
    if task != datasets.STL10:  # there the last epoch is tested and no best one kept
        progress.best_weights = state_of(step.network)
    seconds = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        checkpoint = Checkpoint(Path(place), "run")
        for _ in range(repeats + 1):
            started = time.perf_counter()
            checkpoint.save(progress, step.network, step.optimizer)
            seconds.append(time.perf_counter() - started)
        return checkpoint.path.stat().st_size, seconds[1:]


if __name__ == "__main__":
    main()
