"""A process of its own that says what torch and the driver say: either may be broken in ways that end a process.

Run as a program; prints one line of JSON. Each part is asked for by itself.
"""

from __future__ import annotations

import json
from typing import Any

from bench.errors import best_effort


def probe() -> dict[str, Any]:
    """`driver`: what NVML says, or {"error": ...}; `torch`: so of torch; `cards`: those that CUDA shows, and their state."""
    found: dict[str, Any] = {"driver": _said(_driver), "torch": _said(_torch), "cards": []}
    for index in range(found["torch"].get("cards", 0)):
        found["cards"].append({"index": index} | _said(lambda index=index: _card(index)))
    return found


def _said(ask: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ask()
        return answer
    except ModuleNotFoundError as error:
        return {"error": f"{type(error).__name__}: {error}", "missing": error.name}
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _driver() -> dict[str, Any]:
    import pynvml

    pynvml.nvmlInit()
    return {
        "version": best_effort(lambda: str(pynvml.nvmlSystemGetDriverVersion())),
        "cuda": best_effort(lambda: int(pynvml.nvmlSystemGetCudaDriverVersion())),  # 12020 for 12.2
        "cards": best_effort(lambda: int(pynvml.nvmlDeviceGetCount()), otherwise=0),
    }


def _torch() -> dict[str, Any]:
    import torch

    available = bool(torch.cuda.is_available())
    why = "" if available or torch.version.cuda is None else _said(lambda: torch.cuda.init() or {}).get("error", "")
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "why_not": why,
        "cards": torch.cuda.device_count() if available else 0,
        "architectures": best_effort(torch.cuda.get_arch_list, otherwise=[]),
    }


def _card(index: int) -> dict[str, Any]:
    import torch

    from bench.machine.background_load import gpu_state, taints
    from bench.machine.nvml import find, library, memory_errors, persistence

    device = torch.device("cuda", index)
    card = best_effort(lambda: find(library(), index))
    whole = getattr(card, "whole", None)
    return {
        "name": torch.cuda.get_device_name(device),
        "capability": list(torch.cuda.get_device_capability(device)),
        "memory": int(torch.cuda.get_device_properties(device).total_memory),
        "taints": [line.removeprefix("before: ") for line in taints([gpu_state(device, "before")], None)],
        "instance": card is not None and card.handle != card.whole,
        "persistence": persistence(whole),
        "memory_errors": memory_errors(whole),
    }


if __name__ == "__main__":
    print(json.dumps(probe()))
