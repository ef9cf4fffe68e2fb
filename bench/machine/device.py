"""The device that runs are trained on: choosing it, its precision, its memory."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import deterministic

from bench.errors import BenchError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def choose_device(name: str = "auto") -> torch.device:
    """'auto' (CUDA where there is one, else the CPU), 'cpu', 'cuda' or 'cuda:1'.

    Raises BenchError: an unknown name, or a device that this machine does not have.
    """
    cards = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", *cards, *(["cuda"] if cards else [])):
        raise BenchError(f"device {name!r} is unavailable here; try --device {' or '.join(['auto', 'cpu', *cards])}")
    return torch.device(name)


def has_tf32(device: torch.device) -> bool:
    """Whether a device computes in tf32 when told to; others, CUDA before Ampere too, use float32 without a word."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def check_tf32(precision: str, device: torch.device) -> None:
    """Raises BenchError: the precision is tf32 and the device has none."""
    if precision == "tf32" and not has_tf32(device):
        raise BenchError(f"{device} has no tf32, it would compute in float32; leave out --precision tf32")


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Everything within happens on this device; on CUDA on one stream, the same for all that a process does there.

    Not on CUDA's default stream, which cannot be captured.
    """
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device), torch.cuda.stream(stream_of("training", torch.cuda.current_device())):
        yield


@lru_cache
def stream_of(purpose: str, index: int) -> torch.cuda.Stream:
    """The one stream that a process has for a purpose on a card: torch has 32 and gives them out in turn, again and again."""
    del purpose
    return torch.cuda.Stream(index)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device; a GPU's work is not waited for, as a copy from pageable memory would."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def set_numerics(precision: str, device: torch.device | None = None) -> None:
    """Make arithmetic repeatable, and as exact as the protocol says: torch's own default for convolutions is TF32.

    `device`: None means CUDA where there is one.
    """
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that writes every buffer twice
    device = choose_device() if device is None else device
    if device.type == "cuda" and WORKSPACE not in os.environ:
        _promise_cublas(device)


@lru_cache(maxsize=1)  # once a process
def _promise_cublas(device: torch.device) -> None:
    """Say for the first matrix product alone that cuBLAS is set up to be deterministic.

    cuBLAS repeats its results as long as each stream has its own workspace, which torch sees to; torch wants it said in an
    environment variable all the same, looks once, and warns. torch 2.11 reads the variable's value anew at every product, by a
    regular expression: 25 us of the host's time. What the user sets stays.
    """
    os.environ[WORKSPACE] = ":4096:8"
    try:
        one = torch.ones(1, 1, device=device)
        one @ one
        torch._C._cuda_clearCublasWorkspaces()  # of a size that the variable said; all streams are to have the same
    finally:
        del os.environ[WORKSPACE]


Mark = float | torch.cuda.Event


class Stopwatch:
    """How long the device works between two moments, which on CUDA are marks among its work; making one waits for nothing."""

    def __init__(self, device: torch.device) -> None:
        self.on_cuda = device.type == "cuda"

    def mark(self) -> Mark:
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Mark, end: Mark) -> float:
        """From one mark to a later one, which is waited for."""
        if isinstance(start, float) or isinstance(end, float):
            return float(end) - float(start)  # type: ignore[arg-type]  # then both are
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000


def reuse_memory() -> None:
    """Let this process keep the memory that it frees, for the next step to use (glibc only, elsewhere nothing happens).

    Left alone, glibc returns every large tensor to the system and gets it back page by page, zeroed: up to a third of a
    training step's time on the CPU.
    """
    set_glibc(((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 2**26)))


def set_glibc(options: Iterable[tuple[int, int]]) -> None:
    """Set options of glibc's allocator (mallopt) where there is one."""
    for option, value in options:
        _glibc("mallopt", option, value)


def _glibc(function: str, *arguments: int) -> None:
    with suppress(OSError, AttributeError):
        getattr(ctypes.CDLL("libc.so.6"), function)(*arguments)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context that a forward pass runs in."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.init()  # there is no peak to forget where CUDA was not used yet, and torch takes it for an error
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _glibc("malloc_trim", 0)
        with suppress(OSError):  # not Linux, or not allowed: `peak_memory` then counts from the start of the process
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int | None:
    """Bytes: allocated by torch on CUDA; resident size of this process on the CPU (None where the system does not say)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device, or this machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
