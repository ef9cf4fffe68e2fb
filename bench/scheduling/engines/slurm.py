"""The Slurm engine: one array of jobs, each a local engine in the same results folder; leases keep them apart.

A job that reaches its time limit is submitted again by submitit and resumes from the checkpoints. Records are read from the
results folder, which the machines share; submitit's own files lie in `results`/.slurm, which only its owner may open, since
submitit pickles.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
import torch

from bench.errors import BenchError, Stopped
from bench.machine.streams import never_fail
from bench.plan import Run
from bench.record import failed_record
from bench.scheduling.display import Display
from bench.scheduling.driver import Records
from bench.scheduling.engines.local import Local
from bench.scheduling.engines.slurm_settings import parse_settings
from bench.scheduling.estimate import Estimates
from bench.scheduling.queue import Queue
from bench.scheduling.stop import StopRequest
from leaderboard.errors import one_line

SECONDS_BETWEEN_LOOKS = 1.0  # at the records


@dataclass
class Share:
    """What one job does."""

    runs: list[dict[str, Any]]
    device: str
    results: Path
    visible_gpus: str | None  # None: those that Slurm gives
    budget: float | None
    shares: int  # jobs beside this one

    def __call__(self) -> int:
        """Do runs until none is left; how many were done."""
        never_fail()
        if self.visible_gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.visible_gpus
        runs, stop = [Run.from_json(run) for run in self.runs], StopRequest(self.budget)
        stop.listen()
        stop.poll_only()
        engine = Local(torch.device(self.device), self.results, jobs=1)
        try:
            display = Display(len(runs), deadline=stop.deadline, shares=self.shares)
            return sum(1 for _ in engine.run(runs, Estimates([], ""), stop, display))
        except Stopped:
            return 0

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Called by submitit when the time limit is near or the job is preempted: go on in a new job."""
        return submitit.helpers.DelayedSubmission(self)


@dataclass
class Slurm:
    """`settings`: KEY=VALUE for submitit's executor; `cluster=local` runs the jobs on this machine."""

    results: Path
    jobs: int
    gpus: float
    settings: Sequence[str]
    has_own_data = False

    def run(self, runs: Sequence[Run], estimates: Estimates, stop: StopRequest, display: Display) -> Records:
        """Submit the array and yield each run's record when it is there. Raises Stopped; BenchError: it cannot be submitted."""
        queue, seen = Queue(runs, self.results), Estimates([], "")  # of the jobs' machines, which this one knows nothing of
        budget = None if stop.deadline is None else max(1.0, stop.deadline - time.monotonic())
        jobs = self._submit(runs, budget)
        display.shares = len(jobs) - 1
        display.say(f"slurm: {len(jobs)} jobs, {', '.join(job.job_id for job in jobs)}; logs in {self.results / '.slurm'}")
        while queue.pending:
            ended = all(job.done() for job in jobs)
            for record in queue.done_elsewhere():
                seen.learn(record)
                left = list(queue.pending.values())
                display.waits(len(left), seen.total(left))
                display.finished(record, "by a job")
                yield record
            if ended or stop():
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        display.close()
        if stop():
            for job in jobs:
                job.cancel(check=False)
            raise Stopped
        for run in queue.pending.values():
            why = f"no job left a record; see {one_line(self.results / '.slurm')}"
            yield failed_record(run, torch.device("cpu"), "job ended", why, [])

    def _submit(self, runs: Sequence[Run], budget: float | None) -> list[submitit.Job[int]]:
        settings = parse_settings(self.settings)
        folder, cluster = self.results / ".slurm", settings.pop("cluster", "slurm")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        gpus = int(self.gpus + 0.999)
        # submitit's local executor hides every GPU unless told otherwise; Slurm shows a job the ones it was given.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))) if cluster == "local" else None
        plain, device = [run.to_json() for run in runs], "cuda" if gpus else "cpu"
        share = Share(plain, device, self.results.resolve(), visible, budget, self.jobs - 1)
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            executor.update_parameters(**{"name": "equiscale", "gpus_per_node": gpus, "tasks_per_node": 1, **settings})
            with executor.batch():
                return [executor.submit(share) for _ in range(self.jobs)]
        except Exception as error:  # of submitit's, of sbatch's and of pickle's there are too many to name
            raise BenchError(f"slurm: {type(error).__name__}: {one_line(error)}; see --slurm in bench run --help") from error
