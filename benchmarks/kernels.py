"""Kernels and copies per training step, counted, and the host's share of its time, simulated: on the pretended CUDA runtime.

    python benchmarks/kernels.py [--task mnist-scale-28] [--batch-size 128] [--device cuda] [MODEL ...]

The step is the one that is timed (bench/measure/timed_step.py): forward, backward, optimizer. Needs no GPU, and says nothing of
what one would take; needs a C compiler and a CUDA build of torch, and builds the runtime of tests/fake_cuda when first used.
The host's milliseconds are what launching costs torch and Python with a CUDA that does nothing: a lower bound of an eager step.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fake_cuda")]
WARM_UP = 2  # steps, in which layers make their constants
NARROW = {"depth": 10, "widen_factor": 2}  # with --narrow, of STL-10's networks


@dataclass(frozen=True)
class Counted:
    """Of one model. `deterministic`: kernels and copies that torch's deterministic algorithms add to the step."""

    kernels: int
    copies: int
    deterministic: int
    nodes: int | None  # of the captured step; None: it cannot be captured
    per_replay: int  # kernels and copies beside the graph
    step_ms: float
    replay_ms: float


def main() -> None:
    """Print a table of the models asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--task", action="append")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--narrow", action="store_true", help="stl10+: depth 10 and widen factor 2, as in the tests")
    arguments = parser.parse_args()
    under_the_pretended_runtime(arguments.device)

    import torch

    import models

    print(f"torch {torch.__version__}, batch {arguments.batch_size}, float32; counts are counted, milliseconds simulated")
    print("| task | model | kernels | copies | deterministic adds | graph nodes | per replay | host ms, eager | replay |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for task in arguments.task or ["mnist-scale-28"]:
        for model in arguments.models or models.list_models(task):
            network = NARROW if arguments.narrow and task == "stl10+" else {}
            c = counted(model, task, arguments.batch_size, arguments.device, arguments.repeats, network)
            cells = (c.kernels, c.copies, c.deterministic, c.nodes, c.per_replay, f"{c.step_ms:.2f}", f"{c.replay_ms:.3f}")
            print(f"| {task} | {model} | {' | '.join(map(str, cells))} |", flush=True)


def under_the_pretended_runtime(device: str) -> None:
    """Start this program anew with it where it is not there yet; where it cannot be, say so and end with code 2."""
    from inside import is_pretended

    if is_pretended():
        return
    from build import CannotBuild, built, environment

    try:
        library = built()
    except CannotBuild as error:
        print(f"kernels are counted on the pretended CUDA runtime, which there is not: {error}", file=sys.stderr)
        sys.exit(2)
    number = 1 + int(device.partition(":")[2] or 0)
    os.environ.update(environment(library, devices=number))
    os.execv(sys.executable, [sys.executable, *sys.argv])


def counted(
    model: str, task: str, batch_size: int, device_name: str = "cuda", repeats: int = 3, network: dict[str, int] | None = None
) -> Counted:
    """Count one model's step. Raises whatever the model may raise."""
    import inside
    import torch

    from bench.machine.device import on, set_numerics
    from bench.measure.timed_step import TimedStep, timed_run

    run, device = timed_run(model, task, batch_size, "float32"), torch.device(device_name)
    if network:
        run = type(run)(**{**vars(run), "recipe": run.recipe.model_copy(update={"network": network})})
    set_numerics("float32", device)
    with on(device):
        step = TimedStep(run, device)
        step_ms = milliseconds(step, repeats)
        kernels, copies = counts(step)
        torch.use_deterministic_algorithms(False)
        plain = sum(counts(step))
        set_numerics("float32", device)
        nodes, per_replay, replay_ms = None, 0, float("nan")
        replay = captured(step)
        if replay is not None:
            replay_ms = milliseconds(replay, repeats)
            per_replay, nodes = sum(counts(replay)), inside.count("replayed_nodes")
    return Counted(kernels, copies, kernels + copies - plain, nodes, per_replay, step_ms, replay_ms)


def captured(step: object) -> Callable[[], None] | None:
    """The step's replay; None: it cannot be captured, which is said."""
    from bench.training.graphs import NotCaptured

    try:
        return step.capture()  # type: ignore[attr-defined]
    except NotCaptured as error:
        print(f"not captured: {error}", file=sys.stderr)
        return None


def counts(step: Callable[[], None]) -> tuple[int, int]:
    """Kernels and copies of one call."""
    import inside

    inside.reset()
    step()
    return inside.count("kernels"), inside.count("copies")


def milliseconds(step: Callable[[], None], repeats: int) -> float:
    """Of this process's processors, in the quickest of some calls after those that warm it up: others' work hardly matters."""
    seconds = []
    for _ in range(WARM_UP + repeats):
        started = time.process_time()
        step()
        seconds.append(time.process_time() - started)
    return 1000 * min(seconds[WARM_UP:])


if __name__ == "__main__":
    main()
