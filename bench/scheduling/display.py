"""What is seen of runs under way: a bar for all of them, a bar for each worker, a line for each that ended."""

from __future__ import annotations

import math
from typing import Any

from tqdm import tqdm

import datasets
from bench.plan import Run
from bench.scheduling.estimate import clock_text
from leaderboard.records.schema import Record


class Display:
    """Bars on a terminal; lines everywhere."""

    def __init__(self, total: int) -> None:
        self.total, self.count = total, 0
        self.all: tqdm[Any] = tqdm(total=total, desc="runs", unit="run", position=0, disable=None)
        self.bars: dict[int, tqdm[Any]] = {}

    def begun(self, slot: int, where: str, run: Run, to_go: float | None) -> None:
        """The worker in a slot has begun a run; `where`: its machine, or nothing; `to_go`: seconds for all that is left."""
        self.all.set_postfix_str(f"{clock_text(to_go)} to go")
        self.idle(slot)
        title = f"{where} {run.model} {run.task} r{run.realization}".strip()
        self.bars[slot] = tqdm(desc=title, unit="step", position=slot + 1, leave=False, disable=None)
        self.bars[slot].total = run.recipe.epochs * _steps(run)

    def step(self, slot: int, run: Run, epoch: int, step: int) -> None:
        bar = self.bars[slot]
        bar.n = epoch * _steps(run) + step + 1
        bar.set_postfix_str(f"epoch {epoch + 1}/{run.recipe.epochs}", refresh=False)
        bar.update(0)

    def idle(self, slot: int) -> None:
        """The worker in the slot has no run in hand."""
        if slot in self.bars:
            self.bars.pop(slot).close()

    def finished(self, record: Record, how: str) -> None:
        self.count += 1
        self.all.update()
        self.say(f"[{self.count}/{self.total}] {_outcome(record)} {how}")

    def say(self, text: str) -> None:
        """A line above the bars."""
        tqdm.write(text)

    def close(self) -> None:
        for slot in list(self.bars):
            self.idle(slot)
        self.all.close()


def _steps(run: Run) -> int:
    return math.ceil((run.recipe.data.train_images or datasets.sizes(run.task)["train"]) / run.recipe.batch_size)


def _outcome(record: Record) -> str:
    what = f"{record.model} {record.task} realization {record.realization}"
    if record.metrics is not None:
        return f"{what}: error {record.metrics.test_error:.2f} %"
    assert record.failure is not None  # a record without metrics says why
    return f"{what}: {record.status}: {record.failure.kind}: {record.failure.message}"
