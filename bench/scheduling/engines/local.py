"""The local engine: one process that trains, or several side by side, spread over the GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench.plan import Run
from bench.scheduling.display import Display
from bench.scheduling.driver import Driver, Records
from bench.scheduling.engines.mps import shared_gpu
from bench.scheduling.estimate import Estimates
from bench.scheduling.messages import Job
from bench.scheduling.stop import StopRequest
from bench.scheduling.worker import Worker


@dataclass
class Local:
    """`jobs` processes; None: one per GPU where the device is any GPU, else one; "auto": as many as a trial finds to pay."""

    device: torch.device
    results: Path
    jobs: int | Literal["auto"] | None = None
    has_own_data = False

    def run(self, runs: Sequence[Run], estimates: Estimates, stop: StopRequest, display: Display) -> Records:
        with self.jobs_settled(runs, stop):
            yield from Driver(runs, self, self.results, estimates, stop, display).run()

    @contextmanager
    def jobs_settled(self, runs: Sequence[Run], stop: Callable[[], bool], say: Callable[[str], None] = print) -> Iterator[None]:
        """While in it the number of processes is known, and those that share a GPU do so through CUDA MPS if there is one."""
        if self.jobs == "auto" and (self.device.type != "cuda" or len(runs) < 2):
            self.jobs = None
            why = "there is one run to do" if self.device.type == "cuda" else "a run uses all of this machine's processors"
            say(f"--jobs auto: {self.size()} ({why})" if runs else "--jobs auto: there is nothing to do")
        if self.jobs != "auto" and (self.device.type != "cuda" or self.size() <= max(1, self._gpus()) or len(runs) < 2):
            yield
            return
        with shared_gpu(say) as through_mps:
            if self.jobs == "auto":
                from bench.scheduling.engines.jobs_trial import jobs_for

                family = "mnist-scale" if runs[0].task.startswith("mnist-scale") else "stl10+"
                device = torch.device("cuda:0") if self._gpus() else self.device
                on_each = jobs_for(device, self.results, family, through_mps, stop, say)
                self.jobs = on_each * max(1, self._gpus())
            yield

    def _gpus(self) -> int:
        return torch.cuda.device_count() if self.device.type == "cuda" and self.device.index is None else 0

    def size(self) -> int:
        return self.jobs if isinstance(self.jobs, int) else max(1, self._gpus())

    def spawn(self) -> Worker:
        return Worker()

    def job(self, slot: int, run: Run) -> Job:
        """On the GPUs in turn; on the CPU each process gets its share of the cores."""
        gpus, size = self._gpus(), self.size()
        device = f"cuda:{slot % gpus}" if gpus else str(self.device)
        threads = max(1, torch.get_num_threads() // size)
        on_the_device = len(range(slot % gpus, size, gpus)) if gpus else size
        return Job(run.to_json(), run.id, str(self.results), device, threads, run.plugin, on_the_device)
