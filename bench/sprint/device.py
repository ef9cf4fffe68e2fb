"""The first step of a sprint: what there is. Run as a program: DEVICE FOLDER; writes FOLDER/device.json and nvidia-smi.txt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import torch

from bench.errors import best_effort
from bench.machine.device import choose_device
from bench.machine.hardware import describe_hardware, describe_software


def main(device_name: str, folder: Path) -> None:
    """Describe the device; what cannot be told is a note."""
    device = choose_device(device_name)
    notes = []
    if device.type == "cuda":
        torch.zeros(1, device=device)  # that it computes at all
        smi = best_effort(_smi)
        notes += [] if smi else ["nvidia-smi says nothing"]
        (folder / "nvidia-smi.txt").write_text(smi or "", encoding="utf-8")
    found = {
        "hardware": describe_hardware(device).model_dump(mode="json"),
        "software": describe_software().model_dump(mode="json"),
        "cards": torch.cuda.device_count(),
        "packages": {str(d.metadata["Name"]): d.version for d in distributions()},
        "environment": {
            k: v for k, v in sorted(os.environ.items()) if k.startswith(("CUDA", "CUBLAS", "NVIDIA", "OMP", "BENCH"))
        },
        "notes": notes,
    }
    (folder / "device.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def _smi() -> str:
    return subprocess.run(["nvidia-smi", "-q"], capture_output=True, text=True, timeout=20, check=True).stdout


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
