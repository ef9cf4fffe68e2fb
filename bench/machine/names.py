"""What the devices of this machine are called, as records have it. Needs no torch."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from bench.errors import best_effort

NAMELESS = "unknown"  # neither a system that hides its processor nor a card that broke may cost a record


def processor_name() -> str:
    """The processor's own name, else what the system calls it, else "unknown"."""
    text = best_effort(Path("/proc/cpuinfo").read_text, "utf-8", "replace", otherwise="")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else best_effort(platform.processor) or best_effort(platform.machine) or NAMELESS


def card_names() -> list[str]:
    """The names of the graphics cards that NVIDIA's driver knows."""
    return best_effort(_cards, otherwise=[])  # type: ignore[no-any-return]


def _cards() -> list[Any]:
    import pynvml

    pynvml.nvmlInit()
    return [str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i))) for i in range(pynvml.nvmlDeviceGetCount())]
