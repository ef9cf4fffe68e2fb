"""What a record says of the machine and the software it was made with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import psutil
import torch

from leaderboard.records import Hardware, Software

ROOT = Path(__file__).resolve().parents[1]
UNKNOWN: dict[str, Any] = dict.fromkeys(("driver", "clocks_mhz", "power_cap_watts", "other_processes"))


def describe_hardware(device: torch.device) -> Hardware:
    """Read the device's name, size and state now."""
    state = _gpu_state(device) if device.type == "cuda" else _cpu_state()
    return Hardware(
        device="cuda" if device.type == "cuda" else "cpu",
        cores=psutil.cpu_count(logical=True) or 1,
        threads=torch.get_num_threads(),
        **{**UNKNOWN, **state},
    )


def _cpu_state() -> dict[str, Any]:
    return {"name": _cpu_name(), "memory_bytes": psutil.virtual_memory().total}


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpu_state(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {"name": properties.name, "memory_bytes": properties.total_memory, **_nvml_state(properties)}


def _nvml_state(properties: Any) -> dict[str, Any]:
    """Driver, clocks, power cap and neighbours of the card, where the driver says."""
    import pynvml

    try:
        handle = nvml_handle(properties)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return {
            "driver": str(pynvml.nvmlSystemGetDriverVersion()),
            "clocks_mhz": {
                "graphics": int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
                "memory": int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
            },
            "power_cap_watts": pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000,
            "other_processes": sum(process.pid != os.getpid() for process in processes),
        }
    except pynvml.NVMLError:
        return {}


def nvml_handle(properties: Any) -> Any:
    """The driver's own handle of a card, by the properties that torch gives. Raises pynvml.NVMLError."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")


def describe_software() -> Software:
    """Versions, and the commit of this suite's source where it is a git checkout."""
    commit, dirty = _git_state()
    return Software(
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=numpy.__version__,
        platform=platform.platform(),
        cuda=torch.version.cuda if torch.cuda.is_available() else None,
        git_commit=commit,
        git_dirty=dirty,
        scalebench=version("scalebench"),
    )


def _git_state() -> tuple[str | None, bool | None]:
    if not (ROOT / ".git").exists():
        return None, None

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None
