"""The loop inside the local and the Ray engine: runs go to workers, records come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.errors import BenchError, NotSaved, Stopped
from bench.plan import Run
from bench.record import failed_record
from bench.results import put_checkpoint, put_weights
from bench.scheduling import messages
from bench.scheduling.display import Display
from bench.scheduling.estimate import Estimates
from bench.scheduling.queue import Queue
from bench.scheduling.stop import StopRequest
from leaderboard.errors import RecordError, one_line
from leaderboard.records.schema import Record

SECONDS_BETWEEN_LOOKS = 0.05
ASKED_ABOUT = 1000  # how many runs' estimates are looked up; there may be many more
MOST_LOSSES = 3  # how often a run may lose its machine without having got any further

Records = Generator[Record, None, None]


class WorkerHandle(Protocol):
    """A worker as the driver sees it: worker.Worker, or the handle of one on another machine."""

    where: str  # its machine, where that is worth saying

    def ready(self) -> bool:
        """Whether it can begin a run now."""

    def begin(self, job: messages.Job) -> None:
        """Start a run, from its last checkpoint if there is one."""

    def receive(self) -> list[messages.Message]:
        """What it said since last asked."""

    def stop(self) -> None:
        """Ask it to save its state after the step in hand and to end."""

    def close(self) -> None:
        """End it now."""


class WorkerPool(Protocol):
    """Where workers come from."""

    device: torch.device

    def size(self) -> int:
        """How many workers there may be now."""

    def spawn(self) -> WorkerHandle:
        """A new worker. Raises BenchError: there can be no more."""

    def job(self, slot: int, run: Run) -> messages.Job:
        """What the worker in a slot, of `size`, is told of a run."""


@dataclass
class Slot:
    """Room for a worker, and the run that it has in hand."""

    number: int
    worker: WorkerHandle | None = None
    run: Run | None = None
    began: float = 0.0  # time.monotonic
    stepped: bool = False  # the run has made a step here, so that there is something to save


@dataclass
class Driver:
    """Hands the runs to the workers of a pool; `run` yields each record, once it is on disk, whoever did the run."""

    runs: Sequence[Run]
    pool: WorkerPool
    results: Path
    estimates: Estimates
    stop: StopRequest
    display: Display
    slots: list[Slot] = field(default_factory=list)
    losses: dict[str, int] = field(default_factory=dict)  # by run id, since its last checkpoint
    jobs: int = 1  # runs that share a device

    def __post_init__(self) -> None:
        self.queue = Queue(self.runs, self.results)

    def run(self) -> Records:
        """Do all runs. Raises Stopped when `stop` asks for it; the states of the runs in hand are saved before."""
        try:
            while self.queue.pending or self._busy():
                if self.stop():
                    yield from self._drain()
                    raise Stopped
                yield from self._hand_out()
                yield from self._collect()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            for slot in self.slots:
                self._dismiss(slot)
            self.queue.close()
            self.display.close()

    def _busy(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.run is not None]

    def _hand_out(self) -> Iterator[Record]:
        """Give runs to the idle; the records of those that others have done meanwhile."""
        self.slots += [Slot(number) for number in range(len(self.slots), self.pool.size())]
        for slot in self.slots:
            if slot.run is None and self.queue.pending:
                slot.worker = slot.worker or self._spawn(slot.number)
                yield from self._begin_next(slot)

    def _spawn(self, number: int) -> WorkerHandle | None:
        """A worker for the slot of this number, if there is work for it. Raises BenchError: nobody is at work."""
        if number >= min(self.pool.size(), len(self._busy()) + len(self.queue.pending)):
            return None
        try:
            return self.pool.spawn()
        except BenchError:  # no more processes: those that there are go on, and it is tried again
            if not self._busy():
                raise
        return None

    def _begin_next(self, slot: Slot) -> Iterator[Record]:
        while slot.worker is not None and slot.worker.ready() and slot.run is None:
            try:
                taken = self.queue.take()
            except OSError as error:
                run = self.queue.pending.pop(next(iter(self.queue.pending)))
                yield self._fail(run, "not saved", f"no lease could be written: {error.strerror}", [])
                continue
            match taken:
                case Record():
                    self.display.finished(taken, "by another worker")
                    yield taken
                case Run():
                    slot.run, slot.began, slot.stepped = taken, time.monotonic(), False
                    job, alone = self.pool.job(slot.number, taken), self.estimates.seconds(taken)
                    self.jobs = job.jobs
                    self._tell_what_waits()
                    self.display.begun(slot.number, slot.worker.where, taken, None if alone is None else alone * job.jobs)
                    slot.worker.begin(job)
                case None:
                    return

    def _collect(self) -> Iterator[Record]:
        """Heed what the workers have said; the records of the runs that they have ended."""
        for slot in self.slots:
            if slot.run is not None and self.queue.leases.lost(slot.run.id):
                self.display.say(f"{slot.run.id}: another worker took this one for dead and resumes the run")
                self._take_back(slot, slot.run)
            for message in slot.worker.receive() if slot.worker is not None else []:
                record = self.handle_message(slot, message)
                if record is not None:
                    yield record

    def handle_message(self, slot: Slot, message: messages.Message) -> Record | None:
        """Do what follows from it; the record of the run, where the message ends it."""
        match message, slot.run:
            case messages.Note(text), _:
                self.display.say(text)
            case messages.WorkerDied() as died, run:
                self._dismiss(slot)
                return self._died(slot, run, died) if run is not None else None
            case messages.StepDone(epoch, step), Run() as run:
                slot.stepped = True
                self.display.step(slot.number, run, epoch, step)
            case messages.EpochDone() as done, Run() as run:
                self.display.epoch(slot.number, run, done)
            case messages.NewCheckpoint(content), Run() as run:
                self.losses.pop(run.id, None)
                self._store(put_checkpoint, self.results, run.id, content)
            case messages.RunStopped(), Run() as run:
                self._take_back(slot, run)
            case messages.RunFailed(kind, why, tail), Run() as run:
                self._put_down(slot)
                return self._fail(run, kind, why, tail)
            case messages.RunFinished(record, weights), Run() as run:
                if weights is not None:
                    self._store(put_weights, self.results, run.id, weights)
                self._put_down(slot)
                return self._finish(run, record, time.monotonic() - slot.began)
        return None  # also of a run that another worker has taken

    def _put_down(self, slot: Slot) -> None:
        slot.run = None
        self.display.idle(slot.number)

    def _tell_what_waits(self) -> None:
        pending = list(self.queue.pending.values())
        some = pending[:ASKED_ABOUT]
        seconds = self.estimates.total(some)
        self.display.waits(len(pending), None if seconds is None else seconds * self.jobs * len(pending) / len(some))

    def _store(self, write: Callable[..., object], *what: Any) -> None:
        """Keep what came from another machine. A disk that is full here costs what was to be stored, not the run."""
        try:
            write(*what)
        except (NotSaved, RecordError) as error:
            self.display.say(str(error))

    def _died(self, slot: Slot, run: Run, died: messages.WorkerDied) -> Record | None:
        """A lost machine is no fault of the run's, which resumes elsewhere; a process that dies is taken for one."""
        self.losses[run.id] = self.losses.get(run.id, 0) + 1
        if died.machine_lost and self.losses[run.id] <= MOST_LOSSES:
            self.display.say(f"{run.id}: {died.reason}; it resumes elsewhere from its last checkpoint")
            self._take_back(slot, run)
            return None
        self._put_down(slot)
        return self._fail(run, "process died", died.reason, died.stderr_tail)

    def _fail(self, run: Run, kind: str, why: str, tail: list[str]) -> Record:
        return self._finish(run, failed_record(run, self.pool.device, kind, one_line(why), tail), 0.0)

    def _finish(self, run: Run, record: Record, seconds: float) -> Record:
        try:
            record = self.queue.finish(run, record)
        except RecordError as error:  # shown in the summary, if nowhere else
            record = failed_record(run, self.pool.device, "not saved", str(error), [])
        self.estimates.learn(record)
        self._tell_what_waits()
        self.display.finished(record, f"in {seconds:.0f} s")
        return record

    def _take_back(self, slot: Slot, run: Run) -> None:
        """The run may be taken by others; the worker that had it in hand ends."""
        self._dismiss(slot)
        self._put_down(slot)
        self.queue.give_back(run)

    def _dismiss(self, slot: Slot) -> None:
        if slot.worker is not None:
            slot.worker.close()
        slot.worker = None

    def _drain(self) -> Iterator[Record]:
        """Let the runs in hand stop with their states saved; one without a step has none, and is not waited for."""
        for slot in self._busy():
            assert slot.worker is not None
            slot.worker.stop()
        yield from self._collect()
        for slot in self._busy():
            if slot.run is not None and not slot.stepped:  # still building or waiting, however long that takes
                self._take_back(slot, slot.run)
        while self._busy():
            yield from self._collect()
            time.sleep(SECONDS_BETWEEN_LOOKS)
