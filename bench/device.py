"""The device that runs are trained on: choosing it, its precision, its memory."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import torch
from torch.utils import deterministic

from bench.errors import BenchError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def choose_device(name: str = "auto") -> torch.device:
    """'auto' (CUDA where there is one, else the CPU), 'cpu', 'cuda' or 'cuda:1'.

    Raises BenchError: an unknown name, or a device that this machine does not have.
    """
    available = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (
        not re.fullmatch(r"cpu|cuda(:\d+)?", name)
        or (name != "cuda" and name not in available)
        or (name == "cuda" and len(available) == 1)
    ):
        raise BenchError(f"device {name!r} is not to be had here; try --device {' or '.join(['auto', *available])}")
    return torch.device(name)


def set_numerics(precision: str) -> None:
    """Make arithmetic repeatable, and as exact as the protocol says: torch's own default for convolutions is TF32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that writes every buffer twice


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
