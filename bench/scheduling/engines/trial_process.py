"""A process of the trial of `--jobs auto`: told to prepare or to work for some seconds, it answers in lines of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from bench.machine.device import choose_device, on, set_numerics
from bench.machine.processes import take_streams
from leaderboard.errors import one_line

if TYPE_CHECKING:
    from bench.measure.timed_step import TimedStep

# Small and large, few kernels and many: what a table's runs, in sum, ask of a card.
MIX = {"mnist-scale": ("mnist-scale-28", ("cnn", "sesn-scalar", "sevf-vector")), "stl10+": ("stl10+", ("cnn", "sesn-a"))}
Step = Callable[[], object]
CONTEXT = 600_000_000  # bytes that a process holds on a card besides tensors
ROUNDS_UNWATCHED = 4  # before the host waits for the device


def main(device_name: str, family: str) -> None:
    """Do what is told until the input ends."""
    orders, answers = take_streams()
    device = choose_device(device_name)
    set_numerics("float32", device)
    steps: list[tuple[TimedStep, Step]] = []
    for line in orders:
        asked = json.loads(line)
        try:
            with on(device):
                said = _work(steps, device, asked["seconds"]) if "seconds" in asked else _prepare(steps, device, family)
        except Exception as error:  # whatever CUDA or a model raises ends the trial, not the command
            said = {"problem": one_line(f"{type(error).__name__}: {error}", 200)}
        answers.write(json.dumps(said).encode() + b"\n")
        answers.flush()


def _prepare(steps: list[tuple[TimedStep, Step]], device: torch.device, family: str) -> dict[str, Any]:
    from bench.measure.timed_step import TimedStep, timed_run
    from bench.training.graphs import NotCaptured

    task, names = MIX[family]
    for name in names:
        step = TimedStep(timed_run(name, task, 128, "float32"), device)
        try:
            steps.append((step, step.capture()))
        except NotCaptured:  # as in a run
            steps.append((step, step))
    _work(steps, device, 0.0)
    free = torch.cuda.mem_get_info(device)[0]
    return {"bytes": torch.cuda.max_memory_reserved(device) + CONTEXT, "free": free}


def _work(steps: list[tuple[TimedStep, Step]], device: torch.device, seconds: float) -> dict[str, Any]:
    """Rounds for so many seconds, and the seconds that they took in the end."""
    started, rounds = time.perf_counter(), 0
    while True:
        for _ in range(ROUNDS_UNWATCHED):
            for _, step in steps:
                step()
        torch.cuda.synchronize(device)
        rounds, now = rounds + ROUNDS_UNWATCHED, time.perf_counter() - started
        if now >= seconds:
            return {"rounds": rounds, "seconds": now}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
