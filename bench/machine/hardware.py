"""What a record says of the machine and the software it was made with. Describing never raises: it comes after the work."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import Any

import numpy
import psutil
import torch

from bench.errors import best_effort
from bench.machine.names import NAMELESS, processor_name
from bench.machine.nvml import card_state
from bench.machine.source import commit, version
from leaderboard.records.schema import Hardware, Software


def describe_hardware(device: torch.device) -> Hardware:
    """Read the device's name, size and state now. What cannot be told is None; a name "unknown", an amount 0, cores 1."""
    state = _gpu_state(device) if device.type == "cuda" else _cpu_state()
    return Hardware(
        device="cuda" if device.type == "cuda" else "cpu",
        cores=best_effort(psutil.cpu_count) or os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        **state,
    )


def _cpu_state() -> dict[str, Any]:
    nothing = dict.fromkeys(("driver", "clocks_mhz", "power_cap_watts", "other_processes"))
    return {
        "name": processor_name(),
        "memory_bytes": best_effort(lambda: psutil.virtual_memory().total, otherwise=0),
        **nothing,
    }


def _gpu_state(device: torch.device) -> dict[str, Any]:
    """By CUDA; by the driver alone where CUDA does not answer any more, as after a fault in a kernel."""
    properties = best_effort(torch.cuda.get_device_properties, device)
    state = card_state(device)
    clocks = {name: value for name, value in (state["clocks_mhz"] or {}).items() if name in ("graphics", "memory")}
    return {
        "name": getattr(properties, "name", None) or state["name"] or NAMELESS,
        "memory_bytes": getattr(properties, "total_memory", None) or state["memory_bytes"] or 0,
        "clocks_mhz": clocks or None,
        **{name: state[name] for name in ("driver", "power_cap_watts", "other_processes")},
    }


def describe_software() -> Software:
    """Versions (``cudnn`` as cuDNN counts them, 91900 for 9.19.0), and the version and commit of this suite's source."""
    on_cuda = best_effort(torch.cuda.is_available, otherwise=False)
    git_commit, git_dirty = commit()
    return Software(
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=numpy.__version__,
        platform=best_effort(platform.platform, otherwise=NAMELESS),
        cuda=torch.version.cuda if on_cuda else None,
        cudnn=best_effort(_cudnn) if on_cuda else None,
        git_commit=git_commit,
        git_dirty=git_dirty,
        scalebench=version(),
    )


def measured_here(device: torch.device, command: str) -> dict[str, Any]:
    """What every measurement says of itself: on what, when and by which command line it was made."""
    made_by = {"hardware": describe_hardware(device), "software": describe_software()}
    return {**made_by, "measured": datetime.now(UTC), "command": command}


def _cudnn() -> str | None:
    """Raises RuntimeError: the library found is another than the one torch was made with."""
    number = torch.backends.cudnn.version()
    return None if number is None else str(number)
