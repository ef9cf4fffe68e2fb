"""The Ray engine: workers on the machines of a cluster. Records and checkpoints travel here, so no disk need be shared.

Each machine needs equiscale[ray] of the same version; data are fetched and built once on each, in its own cache.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError, RayError

from bench.errors import BenchError, best_effort
from bench.plan import Run
from bench.results import checkpoint_content
from bench.scheduling.display import Display
from bench.scheduling.driver import Driver, Records
from bench.scheduling.engines.remote_worker import RemoteWorker
from bench.scheduling.estimate import Estimates
from bench.scheduling.messages import Job, Message, WorkerDied
from bench.scheduling.stop import StopRequest
from leaderboard.errors import one_line
from models.registry.content import files_of

SECONDS_BETWEEN_COUNTS = 2.0
SECONDS_TO_CLEAN_UP = 5.0


@dataclass
class RayCluster:
    """`gpus_per_run` may be a fraction: runs then share a GPU. Without GPUs there is one worker per core."""

    results: Path
    gpus_per_run: float
    address: str | None
    device = torch.device("cpu")  # of this machine, which trains nothing
    has_own_data = True
    _counted: tuple[float, int] = (float("-inf"), 0)

    def __post_init__(self) -> None:
        try:
            if not ray.is_initialized():
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # whatever Ray and the system below it raise
            raise BenchError(_why_not(self.address, error)) from error
        if self.size() == 0:
            raise BenchError(f"the Ray cluster has no room for a run of {self.gpus_per_run} GPUs; try --gpus-per-run 0")

    def run(self, runs: Sequence[Run], estimates: Estimates, stop: StopRequest, display: Display) -> Records:
        return Driver(runs, self, self.results, estimates, stop, display).run()

    def size(self) -> int:
        """How many runs the cluster has room for now."""
        if time.monotonic() - self._counted[0] > SECONDS_BETWEEN_COUNTS:
            has = ray.cluster_resources()
            count = has.get("GPU", 0) / self.gpus_per_run if self.gpus_per_run else has.get("CPU", 0)
            self._counted = (time.monotonic(), int(count + 1e-9))
        return self._counted[1]

    def spawn(self) -> RayWorker:
        return RayWorker(self.gpus_per_run)

    def job(self, slot: int, run: Run) -> Job:
        """Ray itself shows each worker its own GPU."""
        device, share = "cuda" if self.gpus_per_run else "cpu", self.gpus_per_run
        jobs = self.size() if not share else max(1, round(1 / share))  # that may share the device
        return Job(run.to_json(), run.id, str(self.results), device, plugin=run.plugin, jobs=jobs)


def _why_not(address: str | None, error: Exception) -> str:
    if "AF_UNIX" in str(error):
        folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
        return (
            f"Ray's sockets would lie in {folder}, whose name is too long for them; set RAY_TMPDIR to a short one, such as /tmp"
        )
    if address is None:
        return f"Ray cannot be started here: {type(error).__name__}: {one_line(error)}"
    return f"no Ray cluster at {address!r}: {one_line(error)}; start one: ray start --head"


class RayWorker:
    """The handle of a RemoteWorker."""

    def __init__(self, gpus: float) -> None:
        self.where = ""
        # Restarted and retried by the driver, which knows the last checkpoint.
        actor: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(RemoteWorker)
        self._actor = actor.remote()
        self._waiting: list[Any] = [self._actor.address.remote()]  # what was asked last comes last
        self._dead = False

    def ready(self) -> bool:
        """Whether Ray has found room for it."""
        return bool(self.where) and not self._dead

    def begin(self, job: Job) -> None:
        """Send the run with its newest checkpoint."""
        files = files_of(Path(job.plugin)) if job.plugin else {}
        contents = {name: content for name, file in files.items() if (content := best_effort(file.read_bytes)) is not None}
        state = checkpoint_content(Path(job.results), job.run_id)
        self._waiting.append(self._actor.begin_from.remote(job, contents, state))

    def receive(self) -> list[Message]:
        """What has arrived; then ask again."""
        said: list[Message] = []
        try:
            while self._waiting and ray.wait(self._waiting[:1], timeout=0)[0]:
                answer = ray.get(self._waiting.pop(0))
                if isinstance(answer, str):
                    self.where = answer
                said += answer if isinstance(answer, list) else []
        except RayActorError:
            said.append(WorkerDied(f"its machine {self.where} was lost", machine_lost=True))
        except RayError as error:
            said.append(WorkerDied(one_line(str(error).splitlines()[-1])))
        if said and isinstance(said[-1], WorkerDied):
            self._dead = True
        elif not self._waiting:
            self._waiting.append(self._actor.receive.remote())
        return said

    def stop(self) -> None:
        self._actor.stop.remote()

    def close(self) -> None:
        if self.ready():
            ray.wait([self._actor.close.remote()], timeout=SECONDS_TO_CLEAN_UP)
        ray.kill(self._actor)
