"""How a call is timed, and how fast the device itself is."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

WARM_UP_SECONDS = 0.5
WARM_UP = f"calls are left out until one has returned and {WARM_UP_SECONDS} s have passed"
MATMUL_SIZE = {"cpu": 2048, "cuda": 8192}
COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}
RATE_REPEATS = 5


def samples(
    call: Callable[[], object],
    device: torch.device,
    repeats: int,
    *,
    warmed: float = 0.0,
    busy: Callable[[], None] | None = None,
) -> list[float]:
    """Seconds of each of `repeats` calls after the warm-up, to which calls of `warmed` seconds before this count.

    On CUDA between events around each call, the host running ahead as it does in training. `busy` is called once, on CUDA while
    the device works on the last calls.
    """
    warm_up(call, device, warmed)
    if device.type != "cuda":
        return [seconds(call, device) for _ in range(repeats)]
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for start, end in marks:
        start.record()
        call()
        end.record()
    if busy is not None:
        busy()
    torch.cuda.synchronize(device)
    return [start.elapsed_time(end) / 1000 for start, end in marks]


def latencies(call: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds from each call until the device has answered it, one at a time, by the host's clock."""
    warm_up(call, device)
    return [seconds(call, device) for _ in range(repeats)]


def warm_up(call: Callable[[], object], device: torch.device, passed: float = 0.0) -> None:
    """Kernels are chosen and loaded, memory is fetched and clocks rise before anything is measured."""
    while passed < WARM_UP_SECONDS:
        passed += seconds(call, device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call, the device's work included."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def matmul_rate(device: torch.device, precision: str) -> float:
    """Operations per second of a large matrix product in this precision (`set_numerics` chooses tf32): the best of five."""
    size, dtype = MATMUL_SIZE[device.type], torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / min(samples(lambda: matrix @ matrix, device, RATE_REPEATS))


def copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written ones, of a large copy: the best of five."""
    source = torch.zeros(COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * len(source) / min(samples(lambda: target.copy_(source), device, RATE_REPEATS))
