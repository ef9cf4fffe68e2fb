"""What is seen of runs under way: on a terminal bars, in a log a line for an epoch now and then; a line for each that ended."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from bench.plan import Run
from bench.scheduling.estimate import clock_text
from bench.scheduling.messages import EpochDone
from bench.scheduling.pace import Pace, steps_per_epoch
from leaderboard.errors import one_line
from leaderboard.records.schema import Record

SECONDS_BETWEEN_LINES = 60.0  # of one run in a log
SECONDS_OF_SILENCE = 600.0  # then a step is worth a line too
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"  # without tqdm's own time to go


@dataclass
class InHand:
    """A run that a worker here has in hand: its name, its bar, its pace, and when there was last a line of it."""

    title: str
    bar: tqdm[Any]
    pace: Pace
    told: float


class Display:
    """Bars on a terminal; lines everywhere.

    `deadline`: when the time budget ends, on `clock`. `shares`: how many others do runs of the same list at the same time.
    """

    def __init__(
        self, total: int, *, deadline: float | None = None, shares: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.count, self.deadline, self.shares, self.clock = total, 0, deadline, shares, clock
        self.in_log = not _on_terminal()
        self.all = _bar("runs", total, 0)
        self.in_hand: dict[int, InHand] = {}  # by slot
        self.slots = 1  # in use at once
        self.waiting: tuple[int, float | None] = (0, None)

    def waits(self, count: int, seconds: float | None) -> None:
        """So many runs are left to be begun, and take so long one after another; None: nobody knows."""
        self.waiting = count, seconds

    def begun(self, slot: int, where: str, run: Run, expected: float | None) -> None:
        """The worker in a slot has begun a run; `where`: its machine, or nothing; `expected`: seconds, by earlier records."""
        self.idle(slot)
        title, now = one_line(f"{where} {run.model} {run.task} r{run.realization}"), self.clock()
        bar = _bar(title, run.recipe.epochs * steps_per_epoch(run), slot + 1)
        self.in_hand[slot] = InHand(title, bar, Pace(run, now, expected), now)
        self.slots = max(self.slots, len(self.in_hand))
        self._show_to_go()

    def step(self, slot: int, run: Run, epoch: int, step: int) -> None:
        """The run has made a step."""
        one, now, steps = self.in_hand[slot], self.clock(), steps_per_epoch(run)
        one.pace.step(epoch, step, now)
        one.bar.n = epoch * steps + step + 1
        at = f"epoch {epoch + 1}/{run.recipe.epochs}"
        one.bar.set_postfix_str(", ".join([at, *_so_far(one.pace, now)]), refresh=False)
        one.bar.update(0)
        self._show_to_go()
        if now - one.told >= SECONDS_OF_SILENCE:
            self._tell(one, f"{at}, step {step + 1} of {steps}", now)

    def epoch(self, slot: int, run: Run, done: EpochDone) -> None:
        """The run has ended an epoch."""
        one, now = self.in_hand[slot], self.clock()
        one.pace.epoch(done, now)
        if now - one.told >= SECONDS_BETWEEN_LINES:
            error = "" if done.validation_error is None else f", validation error {done.validation_error:.2f} %"
            each = one.pace.seconds_per_epoch or 0.0
            pace = f"{each:.{int(each < 100)}f} s per epoch"
            self._tell(one, f"epoch {done.epochs}/{run.recipe.epochs}, loss {done.loss:.4g}{error}, {pace}", now)

    def idle(self, slot: int) -> None:
        """The worker in the slot has no run in hand."""
        if slot in self.in_hand:
            self.in_hand.pop(slot).bar.close()

    def finished(self, record: Record, how: str) -> None:
        """A run has its record."""
        self.count += 1
        self.all.update()
        left = self.to_go() if self.in_log and self.count < self.total else None
        self.say(f"[{self.count}/{self.total}] {_outcome(record)} {how}{f'; {clock_text(left)} to go' if left else ''}")

    def to_go(self) -> float | None:
        """Seconds until all runs are done, as they go side by side here; None: nothing is known yet."""
        now, (count, waiting) = self.clock(), self.waiting
        left = [one.pace.left(now) for one in self.in_hand.values()]
        known = [seconds for seconds in left if seconds is not None]
        if count and waiting is None:  # as the ones in hand
            whole = [seconds for one in self.in_hand.values() if (seconds := one.pace.whole(now)) is not None]
            waiting = statistics.mean(whole) * count if whole else None
        if len(known) < len(left) or (count and waiting is None):
            return None
        return max([(sum(known) + (waiting or 0.0) / (1 + self.shares)) / self.slots, *known])

    def say(self, text: str) -> None:
        """A line above the bars, to be seen at once in a log too."""
        tqdm.write(one_line(text, limit=10_000))
        sys.stdout.flush()

    def close(self) -> None:
        """Take the bars away."""
        for slot in list(self.in_hand):
            self.idle(slot)
        self.all.close()

    def _tell(self, one: InHand, what: str, now: float) -> None:
        """A line on a run, where there are no bars."""
        one.told = now
        if not self.in_log:
            return
        line = f"{one.title}: {what}, {clock_text(one.pace.left(now))} to go"
        if len(self.in_hand) + self.waiting[0] > 1:
            line += f"; all runs: {clock_text(self.to_go())} to go"
        if self.deadline is not None:
            line += f"; time budget: {clock_text(max(0.0, self.deadline - now))} left"
        self.say(line)

    def _show_to_go(self) -> None:
        self.all.set_postfix_str(f"{clock_text(self.to_go())} to go", refresh=False)
        self.all.update(0)


def _on_terminal() -> bool:
    """Whether standard output, which takes lines, and error, which takes bars, are one; of no size (a CI's) it has no bars."""
    try:
        return sys.stdout.isatty() and sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).lines > 0
    except (OSError, ValueError):
        return False


def _bar(title: str, total: int, position: int) -> tqdm[Any]:
    # miniters: what is said beside a bar changes though the bar does not
    return tqdm(
        total=total, desc=title, position=position, leave=not position,
        bar_format=BAR, miniters=0, mininterval=0.2, disable=None,
    )  # fmt: skip


def _so_far(pace: Pace, now: float) -> list[str]:
    """What a bar says of a run besides its epoch."""
    error = pace.latest.validation_error if pace.latest is not None else None
    left = pace.left(now)
    known = ["" if error is None else f"validation error {error:.2f} %", "" if left is None else f"{clock_text(left)} to go"]
    return [text for text in known if text]


def _outcome(record: Record) -> str:
    what = f"{record.model} {record.task} realization {record.realization}"
    if record.metrics is not None:
        return f"{what}: error {record.metrics.test_error:.2f} %"
    assert record.failure is not None  # a record without metrics says why
    return f"{what}: {record.status}: {record.failure.kind}: {record.failure.message}"
