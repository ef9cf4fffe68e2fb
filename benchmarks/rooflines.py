"""What the MNIST-scale table would take on a GPU, estimated by rooflines: not measured, and likely wrong by half.

    python benchmarks/rooflines.py [--precision float32] [--task mnist-scale-28] [MODEL ...]

Every operator of a training step at batch 128, and of an evaluation of 2,000 images, takes the longest of three: its counted
operations and its counted bytes at the rates that the card is taken to reach, and the least that a kernel takes. Added up for
the 60 epochs of the protocol `paper`, the test on 50,000 images, and six realizations of both the task and its '+'. Where
there is no GPU it runs under the pretended runtime of tests/fake_cuda, so that the operators are those of a GPU.
"""

import argparse
from collections.abc import Sequence

import torch
from kernels import under_the_pretended_runtime

import models
from bench.machine.device import on, set_numerics
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import Call, count

# An H100: 67 (tf32 495) TFLOP/s and 3.35 TB/s by its data sheet, of which long kernels reach so much; and a kernel in a graph.
RATES = {"float32": 0.6 * 67e12, "tf32": 0.4 * 495e12}
BYTES_PER_SECOND, LEAST_SECONDS = 0.8 * 3.35e12, 2e-6
STEPS, EPOCHS, REALIZATIONS, EVALUATED, TESTED = 79, 60, 6, 2_000, 50_000


def main() -> None:
    """Print a line a model and task, and the sum over both tasks of a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--task", action="append", choices=["mnist-scale-28", "mnist-scale-56"])
    parser.add_argument("--precision", default="float32", choices=RATES)
    parser.add_argument("--device", default="cuda", type=torch.device)
    given = parser.parse_args()
    under_the_pretended_runtime(str(given.device))
    set_numerics(given.precision, given.device)
    print(
        f"estimated, {given.precision}; {RATES[given.precision]:.2g} FLOP/s, {BYTES_PER_SECOND:.2g} B/s, {LEAST_SECONDS:.0e} s"
    )
    print("| task | model | operators | GFLOP | GB | step ms | run s | six runs, and of '+', min |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    total = 0.0
    for task in given.task or ["mnist-scale-28", "mnist-scale-56"]:
        for model in given.models or models.list_models(task):
            with on(given.device):
                step, evaluation = counted(model, task, given.device)
            rate = RATES[given.precision]
            run = EPOCHS * (STEPS * seconds(step, rate) + seconds(evaluation, rate)) + TESTED / EVALUATED * seconds(
                evaluation, rate
            )
            minutes = 2 * REALIZATIONS * run / 60
            total += minutes
            sums = f"{sum(call.operations for call in step) / 1e9:.1f} | {sum(call.bytes for call in step) / 1e9:.2f}"
            print(
                f"| {task} | {model} | {len(step)} | {sums} | {1000 * seconds(step, rate):.2f} | {run:.1f} | {minutes:.1f} |",
                flush=True,
            )
    print(f"in all {total:.0f} min")


def counted(model: str, task: str, device: torch.device) -> tuple[list[Call], list[Call]]:
    """The operators of a warm step, and of an evaluation of 2,000 images."""
    step = TimedStep(timed_run(model, task, 128, "float32"), device)
    step()
    images = torch.zeros(EVALUATED, 1, 28, 28, device=device)
    training = count(step).calls
    network = step.network
    network.eval()
    with torch.no_grad():
        network(images)
        return training, count(lambda: network(images)).calls


def seconds(calls: Sequence[Call], rate: float) -> float:
    """The sum over operators."""
    return sum(max(call.operations / rate, call.bytes / BYTES_PER_SECOND, LEAST_SECONDS) for call in calls)


if __name__ == "__main__":
    main()
