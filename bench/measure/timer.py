"""What a call costs: how long it takes, sampled; what it asks of the device, counted; how fast the device itself is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.machine.device import Mark, Stopwatch

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

    On CUDA between marks around each call, the host running ahead as it does in training. `busy` is called once, on CUDA while
    the device works on the last calls.
    """
    warm_up(call, device, warmed)
    watch, marks = Stopwatch(device), list[tuple[Mark, Mark]]()
    for _ in range(repeats):
        start = watch.mark()
        call()
        marks.append((start, watch.mark()))
    if busy is not None and device.type == "cuda":
        busy()
    return [watch.seconds(start, end) for start, end in marks]


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


# ------------------------------------------------------------------------------------------------------------- counting


class Call(NamedTuple):
    """One operator: multiplications and additions of a matrix product or convolution; bytes read and written."""

    operator: str
    operations: int
    bytes: int


@dataclass(frozen=True)
class Counted:
    """Multiplications and additions of matrix products and convolutions; bytes that all operators read and write."""

    operations: int
    bytes: int
    calls: list[Call]  # in their order, without views


def count(call: Callable[[], object]) -> Counted:
    """Count one call. A complex product counts four times; an operator's inputs and results count once each per operator."""
    with _Calls() as seen:
        call()
    return Counted(sum(one.operations for one in seen.calls), sum(one.bytes for one in seen.calls), seen.calls)


def _product(left: Tensor, right: Tensor, *_: object, out_val: Tensor, **__: object) -> int:
    return 2 * left.numel() * right.shape[-1] * (4 if out_val.is_complex() else 1)


def _added(_: Tensor, left: Tensor, right: Tensor, *__: object, out_val: Tensor, **___: object) -> int:
    return _product(left, right, out_val=out_val)


aten = torch.ops.aten
# torch's own formulas know none of those in place, and take complex ones for real.
FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    **dict.fromkeys([aten.mm, aten.bmm], _product),
    **dict.fromkeys([aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_], _added),
}


# Views that torch does not mark as such, and memory that is taken and not touched.
FREE = {aten._unsafe_view, aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided}


class _Calls(TorchDispatchMode):
    """Lists the operators that pass; views and memory that is only taken cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view and func.namespace == "aten" and func.overloadpacket not in FREE:
            formula = FORMULAS.get(func.overloadpacket)
            operations = int(formula(*args, **kwargs, out_val=result)) if formula is not None else 0
            leaves = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.calls.append(Call(str(func.overloadpacket), operations, sum(map(_bytes, leaves))))
        return result


def _bytes(tensor: Tensor) -> int:
    """What it occupies: an expanded tensor is read from few numbers."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
