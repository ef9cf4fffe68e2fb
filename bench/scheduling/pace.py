"""How fast a run under way is, and how long it will still take, by what it has done itself so far."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

import datasets
from bench.plan import Run
from bench.scheduling.messages import EpochDone

FORWARD_AND_BACKWARD = 3.0  # a training step takes about three times as long as the answers to its images
LATEST = 9  # epochs whose median is the pace
SECONDS_TO_JUDGE_BY = 5.0  # of steps, before a first epoch has ended


@dataclass
class Pace:
    """Of one run, since it was begun here. Times are seconds of one clock, given by the caller; `began`: on that clock.

    `expected`: seconds of the whole run, as earlier records tell; None: they do not.
    """

    run: Run
    began: float
    expected: float | None = None
    latest: EpochDone | None = None  # the last epoch to end
    ended: float = 0.0  # when that was
    _epochs: list[float] = field(default_factory=list)  # seconds from the end of one to that of the next
    _steps: list[tuple[float, float]] = field(
        default_factory=list
    )  # when the first and the last was told, and where, in epochs

    def step(self, epoch: int, step: int, now: float) -> None:
        """The run has made a step, both counted from 0."""
        self._steps[1:] = [(now, epoch + (step + 1) / steps_per_epoch(self.run))]

    def epoch(self, done: EpochDone, now: float) -> None:
        """An epoch has ended."""
        if self.latest is not None:  # the first one here began with what is no training, or in the middle
            self._epochs.append(now - self.ended)
        self.latest, self.ended = done, now

    @property
    def seconds_per_epoch(self) -> float | None:
        """Training and validation, with all that goes on around them; None: no epoch has ended here."""
        if self._epochs:
            return statistics.median(self._epochs[-LATEST:])
        return None if self.latest is None else self.latest.train_seconds + self.latest.validation_seconds

    def whole(self, now: float) -> float | None:
        """Seconds of a whole run like this one; None: nothing is known yet."""
        if self.latest is not None and (each := self.seconds_per_epoch) is not None:
            return self.run.recipe.epochs * each + _test_seconds(self.run, self.latest)
        left = self.left(now)
        return self.expected if left is None or self.expected is not None else now - self.began + left

    def left(self, now: float) -> float | None:
        """Seconds until the run ends, its test included; None: nothing is known yet."""
        if self.latest is None or (each := self.seconds_per_epoch) is None:
            return self._left_by_steps(now)
        epochs, test, passed = (
            self.run.recipe.epochs - self.latest.epochs,
            _test_seconds(self.run, self.latest),
            now - self.ended,
        )
        return epochs * each - min(passed, each) + test if epochs else max(0.0, test - passed)

    def _left_by_steps(self, now: float) -> float | None:
        """Before an epoch has ended: by the steps seen, or else as earlier records tell."""
        (first, begun), (last, done) = (self._steps[0], self._steps[-1]) if self._steps else ((now, 0.0), (now, 0.0))
        epochs = self.run.recipe.epochs
        if last - first < SECONDS_TO_JUDGE_BY or done == begun:
            return None if self.expected is None else max(0.0, (1 - begun / epochs) * self.expected - (now - self.began))
        training, validation, test = _costs(self.run)
        evaluations = ((epochs - math.floor(done)) * validation + test) / training
        return max(0.0, (last - first) / (done - begun) * (epochs - done + evaluations) - (now - last))


def _test_seconds(run: Run, latest: EpochDone) -> float:
    """Of the test, by the same epoch's validation, or else by its training."""
    training, validation, test = _costs(run)
    if validation and latest.validation_seconds:
        return latest.validation_seconds * test / validation
    return latest.train_seconds * test / training


def steps_per_epoch(run: Run) -> int:
    """How many batches the training images make."""
    return math.ceil(_images(run, "train") / run.recipe.batch_size)


def _costs(run: Run) -> tuple[float, float, float]:
    """An epoch's training, its validation (0: the recipe has none) and the test, in the time that an answer takes."""
    validation = _images(run, "validation") if run.recipe.select == "best-validation" else 0
    return FORWARD_AND_BACKWARD * _images(run, "train"), validation, _images(run, "test")


def _images(run: Run, split: str) -> int:
    asked: int | None = getattr(run.recipe.data, f"{split}_images")
    return asked or datasets.sizes(run.task, test_size=run.recipe.data.test_size)[split]
