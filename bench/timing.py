"""How long a model's training step and inference take, and how much memory: each model in a process of its own.

The sample quoted is the median; the first calls, in which torch chooses its kernels, are not counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import datasets
import models
from bench.device import choose_device, peak_memory, reset_peak_memory, reuse_memory, set_numerics
from bench.errors import BenchError

WARM_UP = 2
RATE_SIZE = 2048


@dataclass(frozen=True)
class Timing:
    """Raw samples in seconds, memory in bytes, for one model on one task."""

    model: str
    task: str
    batch_size: int
    device: str
    threads: int
    step_seconds: list[float] = field(repr=False)
    inference_seconds: list[float] = field(repr=False)
    peak_memory_bytes: int | None
    step_operations: int
    matmul_rate: float

    @property
    def step(self) -> float:
        """Median seconds of a training step."""
        return statistics.median(self.step_seconds)

    @property
    def inference(self) -> float:
        """Median seconds of a forward pass without gradients."""
        return statistics.median(self.inference_seconds)

    @property
    def rate_fraction(self) -> float:
        """Counted operations per second of the step, as a fraction of a large float32 matrix product's."""
        return self.step_operations / self.step / self.matmul_rate


def time_model(model: str, task: str, device: str, batch_size: int, repeats: int) -> Timing:
    """Time one model in a fresh process. Raises BenchError: the process failed; its last line says why."""
    call = [sys.executable, "-m", "bench.timing", model, task, device, str(batch_size), str(repeats)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"timing {model} on {task} failed (exit code {done.returncode}): {reason}")
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def measure(model: str, task: str, device_name: str, batch_size: int, repeats: int) -> Timing:
    """Time one model in this process: float32, synthetic images, Adam."""
    device = choose_device(device_name)
    set_numerics("float32")
    reuse_memory()
    rate = _matmul_rate(device)
    network = models.create(model, task).to(device)
    optimizer = torch.optim.Adam(network.parameters())
    images = torch.randn(batch_size, *datasets.image_shape(task), device=device)
    labels = torch.arange(batch_size, device=device) % 10

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    reset_peak_memory(device)
    steps = _samples(step, device, repeats)
    memory = peak_memory(device)
    operations = count_operations(step)
    network.eval()
    with torch.no_grad():
        inferences = _samples(lambda: network(images), device, repeats)
    threads = torch.get_num_threads()
    return Timing(model, task, batch_size, str(device), threads, steps, inferences, memory, operations, rate)


def _samples(call: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    samples = []
    for _ in range(WARM_UP + repeats):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        samples.append(time.perf_counter() - started)
    return samples[WARM_UP:]


def _matmul_rate(device: torch.device) -> float:
    """Operations per second of a large float32 matrix product: the best of ten."""
    matrix = torch.randn(RATE_SIZE, RATE_SIZE, device=device)
    return 2 * RATE_SIZE**3 / min(_samples(lambda: matrix @ matrix, device, 10))


def count_operations(call: Callable[[], object]) -> int:
    """Multiplications and additions of the matrix products and convolutions in a call; a complex one counts four times."""
    from torch.utils.flop_counter import FlopCounterMode

    def product(left: Tensor, right: Tensor, *_: object, out_val: Tensor, **__: object) -> int:
        return 2 * left.numel() * right.shape[-1] * (4 if out_val.is_complex() else 1)

    product._get_raw = True  # type: ignore[attr-defined] # the counter's mark for a function that wants tensors, not shapes
    with FlopCounterMode(
        display=False, custom_mapping=dict.fromkeys([torch.ops.aten.mm, torch.ops.aten.bmm], product)
    ) as counter:
        call()
    return int(counter.get_total_flops())


if __name__ == "__main__":
    arguments = sys.argv[1:]
    print(json.dumps(asdict(measure(arguments[0], arguments[1], arguments[2], int(arguments[3]), int(arguments[4])))))
