"""What the local engine and the cluster's have in common: runs go to workers, records come back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from bench.errors import BenchError, NotSaved, Stopped
from bench.plan import Run
from bench.record import failed_record
from bench.scheduling.display import Display
from bench.scheduling.estimate import Estimates
from bench.scheduling.queue import Queue
from bench.scheduling.stop import StopRequest
from bench.scheduling.worker import Job
from bench.training.run import checkpoint_of
from bench.training.state.weights import weights_path
from leaderboard.errors import RecordError, one_line
from leaderboard.records.atomic import write_atomically
from leaderboard.records.schema import Record

PAUSE = 0.05  # seconds between two looks at the workers
LOSSES = 3  # how often a run may lose its machine without having got any further


class Near(Protocol):
    """A worker as the driver sees it: bench.scheduling.worker.Worker, or the near end of one on another machine."""

    where: str  # its machine, where that is worth saying

    def ready(self) -> bool:
        """Whether it can begin a run now."""

    def resume(self, run: Run, job: Job) -> None:
        """Start a run from its last checkpoint, if there is one."""

    def receive(self) -> list[dict[str, Any]]:
        """What it said since last asked; the last of all is "died", with "lost" if its machine is gone."""

    def stop(self) -> None:
        """Ask it to save its state after the step in hand and to end."""

    def close(self) -> None:
        """End it now."""


class Engine(Protocol):
    """Where workers come from."""

    device: torch.device
    has_own_data: bool  # its machines fetch and build their data themselves

    def places(self) -> int:
        """How many workers there may be now."""

    def hire(self, place: int) -> Near:
        """A new worker in one of the places."""

    def job(self, place: int, run: Run) -> Job:
        """What a worker is told of a run."""


@runtime_checkable
class Alone(Protocol):
    """An engine whose workers find their runs by themselves."""

    has_own_data: bool

    def drive(self, runs: Sequence[Run], display: Display) -> Iterator[Record]:
        """As `Driver.drive`."""


@dataclass
class _Place:
    worker: Near | None = None
    run: Run | None = None
    began: float = 0.0
    stepped: bool = False  # the run has made a step here, so that there is something to save


@dataclass
class Driver:
    """The loop. `drive` yields the record of every run, once it is on disk, whoever did it."""

    runs: Sequence[Run]
    engine: Engine
    results: Path
    estimates: Estimates
    stop: StopRequest
    display: Display
    places: list[_Place] = field(default_factory=list)
    losses: dict[str, int] = field(default_factory=dict)

    def drive(self) -> Iterator[Record]:
        """Do all runs. Raises Stopped when `stop` asks for it; the states of the runs in hand are saved before."""
        queue = Queue(self.runs, self.results)
        try:
            while queue.pending or self._busy():
                if self.stop():
                    yield from self._wind_up(queue)
                    raise Stopped
                yield from self._hand_out(queue)
                yield from self._collect(queue)
                time.sleep(PAUSE)
        finally:
            for place in self.places:
                if place.worker is not None:
                    place.worker.close()
            queue.close()
            self.display.close()

    def _busy(self) -> list[_Place]:
        return [place for place in self.places if place.run is not None]

    def _hand_out(self, queue: Queue) -> Iterator[Record]:
        self.places += [_Place() for _ in range(self.engine.places() - len(self.places))]
        for number, place in enumerate(self.places):
            if place.run is not None or not queue.pending:
                continue
            if place.worker is None:
                if number >= min(self.engine.places(), len(self._busy()) + len(queue.pending)):
                    continue
                try:
                    place.worker = self.engine.hire(number)
                except BenchError:  # no more processes: those that there are go on, and it is tried again
                    if not self._busy():
                        raise
                    continue
            while place.run is None and place.worker.ready():
                try:
                    taken = queue.take()
                except OSError as error:
                    run = queue.pending.pop(next(iter(queue.pending)))
                    yield self._finish(queue, run, "not saved", f"no lease could be written: {error.strerror}", [])
                    continue
                if taken is None:
                    break
                if isinstance(taken, Record):
                    self.display.finished(taken, "by another worker")
                    yield taken
                    continue
                place.run, place.began, place.stepped = taken, time.monotonic(), False
                self.display.begun(number, place.worker.where, taken, self.estimates.total(list(queue.pending.values())[:1000]))
                place.worker.resume(taken, self.engine.job(number, taken))

    def _collect(self, queue: Queue) -> Iterator[Record]:
        for number, place in enumerate(self.places):
            if place.run is not None and queue.leases.lost(place.run.id):
                self.display.say(f"{place.run.id}: another worker took this one for dead and goes on with the run")
                self._dismiss(place)
                queue.give_back(place.run)
                place.run = None
            for message in place.worker.receive() if place.worker is not None else []:
                record = self._heard(queue, number, place, message)
                if record is not None:
                    yield record

    def _heard(self, queue: Queue, number: int, place: _Place, message: dict[str, Any]) -> Record | None:
        run = place.run
        if "say" in message:
            self.display.say(message["say"])
        if "died" in message:
            self._dismiss(place)
        if run is None:
            return None
        if "epoch" in message:
            place.stepped = True
            self.display.step(number, run, message["epoch"], message["step"])
        if "state" in message or "weights" in message:
            self._keep(run, message)
        if "stopped" in message:
            self._dismiss(place)
            place.run = None
            queue.give_back(run)
        if "failed" in message:
            place.run = None
            return self._finish(queue, run, message["failed"], message["message"], message["last_words"])
        if "died" in message:
            place.run = None
            return self._died(queue, run, message)
        if "record" in message:
            place.run = None
            self.display.idle(number)
            record = Record.model_validate(message["record"])
            return self._written(queue, run, record, time.monotonic() - place.began)
        return None

    def _keep(self, run: Run, message: dict[str, Any]) -> None:
        """Store what came from another machine. A disk that is full here costs what was to be stored, not the run."""
        try:
            if "state" in message:
                self.losses.pop(run.id, None)
                checkpoint_of(run, self.results).put(message["state"])
            else:
                write_atomically(weights_path(self.results, run.id), message["weights"])
        except (NotSaved, RecordError) as error:
            self.display.say(str(error))

    def _died(self, queue: Queue, run: Run, message: dict[str, Any]) -> Record | None:
        """A lost machine is no fault of the run's, which goes on elsewhere; a process that dies is taken for one."""
        self.losses[run.id] = self.losses.get(run.id, 0) + 1
        if message.get("lost") and self.losses[run.id] <= LOSSES:
            self.display.say(f"{run.id}: {message['died']}; it goes on elsewhere from its last checkpoint")
            queue.give_back(run)
            return None
        return self._finish(queue, run, "process died", message["died"], message.get("last_words", []))

    def _finish(self, queue: Queue, run: Run, kind: str, why: str, tail: list[str]) -> Record:
        return self._written(queue, run, failed_record(run, self.engine.device, kind, one_line(why), tail), 0.0)

    def _written(self, queue: Queue, run: Run, record: Record, seconds: float) -> Record:
        try:
            record = queue.finish(run, record)
        except RecordError as error:  # shown in the summary, if nowhere else
            record = failed_record(run, self.engine.device, "not saved", str(error), [])
        self.estimates.learn(record)
        self.display.finished(record, f"in {seconds:.0f} s")
        return record

    def _dismiss(self, place: _Place) -> None:
        if place.worker is not None:
            place.worker.close()
        place.worker = None

    def _wind_up(self, queue: Queue) -> Iterator[Record]:
        for place in self._busy():
            assert place.worker is not None
            place.worker.stop()
        yield from self._collect(queue)
        for place in self._busy():
            if place.run is not None and not place.stepped:  # still building or waiting, however long that takes
                self._dismiss(place)
                queue.give_back(place.run)
                place.run = None
        while self._busy():
            yield from self._collect(queue)
            time.sleep(PAUSE)
