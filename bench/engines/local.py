"""The local engine: one process that trains, or several side by side, spread over the GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from bench.engines.worker import Job, Worker
from bench.plan import Run


@dataclass
class Local:
    """`jobs` processes; None: one per GPU where the device is any GPU, else one."""

    device: torch.device
    results: Path
    plugins: tuple[str, ...] = ()
    jobs: int | None = None
    has_own_data = False

    def _gpus(self) -> int:
        return torch.cuda.device_count() if self.device.type == "cuda" and self.device.index is None else 0

    def places(self) -> int:
        """How many processes."""
        return self.jobs or max(1, self._gpus())

    def hire(self, place: int) -> Worker:
        """A new process."""
        return Worker(self.results)

    def job(self, place: int, run: Run) -> Job:
        """On the GPUs in turn; on the CPU each process gets its share of the cores."""
        device = f"cuda:{place % self._gpus()}" if self._gpus() else str(self.device)
        threads = max(1, torch.get_num_threads() // self.places())
        return Job(run.to_json(), run.id, device, threads, self.plugins)
