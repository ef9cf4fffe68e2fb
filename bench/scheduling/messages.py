"""What the driver tells a worker, and what a worker says: objects over Ray, lines of JSON to and from a process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, get_args

from leaderboard.records.schema import Record


@dataclass(frozen=True)
class Job:
    """A run as a process can be told of it, with the plugin that registers its model and no other.

    `run`: what Run.to_json gives, since only the process that loads the plugin can build the Run. `threads`: 0 leaves
    torch's own number. `jobs`: how many runs share the device.
    """

    run: dict[str, Any]
    run_id: str
    results: str
    device: str
    threads: int = 0
    plugin: str = ""
    jobs: int = 1


@dataclass(frozen=True)
class StepDone:
    """The run has made a step, so that there is something to save."""

    epoch: int
    step: int


@dataclass(frozen=True)
class EpochDone:
    """The run has ended an epoch, `epochs` in all.

    `loss`: the mean over its training images; `validation_error`: in percent, None where the recipe has no validation; seconds
    of its training and of its validation (0.0: none).
    """

    epochs: int
    loss: float
    validation_error: float | None
    train_seconds: float
    validation_seconds: float


@dataclass(frozen=True)
class Note:
    """A line for the screen."""

    text: str


@dataclass(frozen=True)
class RunStopped:
    """The run stopped as asked; its state is saved."""


@dataclass(frozen=True)
class RunFailed:
    """The run could not be begun; one that fails later has a record that says so."""

    kind: str
    message: str
    traceback_tail: list[str]


@dataclass(frozen=True)
class RunFinished:
    """The run has ended, well or not. `weights`: of a worker on another machine, which has its own results folder."""

    record: Record
    weights: bytes | None = None


@dataclass(frozen=True)
class NewCheckpoint:
    """A worker on another machine has a newer state of the run."""

    content: bytes


@dataclass(frozen=True)
class WorkerDied:
    """The worker's last message. `machine_lost`: it is no fault of the run's."""

    reason: str
    stderr_tail: list[str] = field(default_factory=list)
    machine_lost: bool = False


ProcessMessage = StepDone | EpochDone | Note | RunStopped | RunFailed | RunFinished
Message = ProcessMessage | NewCheckpoint | WorkerDied

_BY_NAME: dict[str, Any] = {kind.__name__: kind for kind in get_args(ProcessMessage)}


def to_line(message: ProcessMessage) -> str:
    """One line of JSON: the name of the message's class, and its fields."""
    fields = {"record": message.record.model_dump(mode="json")} if isinstance(message, RunFinished) else vars(message)
    return json.dumps({"is": type(message).__name__, **fields})


def from_line(line: bytes) -> ProcessMessage:
    """What `to_line` made a line of. Raises json.JSONDecodeError: half a line, of a process that was killed."""
    fields = json.loads(line)
    kind = _BY_NAME[fields.pop("is")]
    message: ProcessMessage = RunFinished(Record.model_validate(fields["record"])) if kind is RunFinished else kind(**fields)
    return message
