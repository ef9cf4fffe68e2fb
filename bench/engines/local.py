"""The local engine: one run after the other in this process, with a bar for the runs and one for the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import datasets
from bench.errors import Stopped
from bench.estimate import Estimates, clock_text
from bench.execute import checkpoint_of, execute
from bench.plan import Run
from bench.stop import StopRequest
from bench.train import Watch
from leaderboard.records import Record, write_record


def run_all(
    runs: Sequence[Run], device: torch.device, results: Path, estimates: Estimates, stop: StopRequest
) -> Iterator[Record]:
    """Do the runs in order and yield each record once it is on disk.

    Raises Stopped when `stop` asks for it; the state of the run in hand is saved before.
    """
    with tqdm(total=len(runs), desc="runs", unit="run", position=0, disable=None) as bar:
        for number, run in enumerate(runs, start=1):
            if stop():
                raise Stopped
            bar.set_postfix_str(f"{clock_text(estimates.total(runs[number - 1 :]))} to go")
            started = time.monotonic()
            with _steps_bar(run) as steps:
                record = execute(run, device, results, Watch(_on_step(steps, run), stop, tqdm.write))
            write_record(results, record)
            checkpoint_of(run, results).remove()
            estimates.learn(record)
            bar.update()
            tqdm.write(f"[{number}/{len(runs)}] {_outcome(record)} in {clock_text(time.monotonic() - started)}")
            yield record


def _steps_bar(run: Run) -> tqdm[Any]:
    title = f"{run.model} {run.task} r{run.realization}"
    bar: tqdm[Any] = tqdm(desc=title, unit="step", position=1, leave=False, disable=None)
    return bar


def _on_step(bar: tqdm[Any], run: Run) -> Callable[[int, int], None]:
    steps = math.ceil((run.recipe.data.train_images or datasets.sizes(run.task)["train"]) / run.recipe.batch_size)
    bar.total = steps * run.recipe.epochs

    def on_step(epoch: int, step: int) -> None:
        bar.n = epoch * steps + step + 1
        bar.set_postfix_str(f"epoch {epoch + 1}/{run.recipe.epochs}", refresh=False)
        bar.update(0)

    return on_step


def _outcome(record: Record) -> str:
    what = f"{record.model} {record.task} realization {record.realization}"
    if record.metrics is not None:
        return f"{what}: error {record.metrics.test_error:.2f} %"
    assert record.failure is not None  # a record without metrics says why
    return f"{what}: {record.status}: {record.failure.kind}: {record.failure.message}"
