"""What is kept of an exception that ended a run: its kind, its message, and where it arose, the model's own lines first.

Of a run that did not fit into memory, also what to do: found by trying, not by guessing.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

import models
from bench.errors import Diverged, NotSaved, best_effort
from bench.machine.device import is_out_of_memory, on, peak_memory
from bench.plan import Run
from bench.record import failed_record
from bench.training.data import Split
from bench.training.step import blank_images, build_network_and_optimizer, training_step
from leaderboard.errors import one_line
from leaderboard.records.schema import Failure, Record

LINES = 12  # of the traceback's end
OWN = 2  # calls in the model's own files that are kept, the last ones


def record_failure(run: Run, device: torch.device, error: BaseException, started: datetime) -> Record:
    """The record of a run that an exception ended; of one that did not fit into memory with advice, found by trying."""
    peak, failure = best_effort(peak_memory, device), describe_failure(error, best_effort(_file_of, run))
    kind, message = failure.kind, failure.message
    if isinstance(error, Diverged):
        kind = "diverged"
    elif isinstance(error, NotSaved):
        kind = "not saved"
    elif best_effort(is_out_of_memory, error, otherwise=False):
        traceback.clear_frames(error.__traceback__)  # they hold the very tensors that did not fit
        advice = best_effort(out_of_memory_advice, run, device, otherwise="it does not fit into memory")
        kind, message = "out of memory", f"{advice} ({one_line(message.partition(chr(10))[0]) or kind})"
    return failed_record(run, device, kind, message, failure.traceback_tail, started=started, peak_memory_bytes=peak)


def out_of_memory_advice(run: Run, device: torch.device) -> str:
    """One line on a run that did not fit: which `--batch-split` would, the smallest power of two with which a step does."""
    batch, parts = run.recipe.batch_size, run.recipe.batch_split
    what = f"a batch of {batch}" + (f" in {parts} parts" if parts > 1 else "") + " does not fit into memory"
    with on(device):
        while (parts := 2 * parts) <= batch:
            if _fits(replace(run, recipe=run.recipe.model_copy(update={"batch_split": parts})), device):
                return f"{what}; it fits with --batch-split {parts}"
    return f"{what}, nor in smaller parts; take a device with more memory, or a protocol with precision bf16 or smaller batches"


def _fits(run: Run, device: torch.device) -> bool:
    """Whether a training step of a new network fits, on images without anything in them."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    recipe = run.recipe
    try:
        network, optimizer = build_network_and_optimizer(run, device)
        images = blank_images(run.task, recipe.data.central_pixels, recipe.batch_size, device)
        network.train()
        training_step(network, optimizer, Split(images, torch.zeros(len(images), dtype=torch.long, device=device)), recipe)
    except models.ModelError:  # the network's batches cannot be split
        return False
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _file_of(run: Run) -> str | None:
    """Where the run's model is written, as this process has it."""
    model = models.info(run.model, run.task)
    return model.plugin or sys.modules[model.module].__file__


def describe_failure(error: BaseException, model_file: str | None) -> Failure:
    """The exception as a record holds it. `model_file`: where the model is written, if that is known."""
    folder = Path(model_file).parent if model_file else None
    return Failure(
        kind=type(error).__name__,
        message=best_effort(str, error, otherwise=""),
        traceback_tail=_tail(error, folder),
    )


def _tail(error: BaseException, folder: Path | None) -> list[str]:
    """The end of the traceback; before it the last calls in the model's folder, where the end does not hold them.

    The end alone may lie in torch altogether: what went wrong there is of no use to whom does not see which line called it.
    """
    last = "".join(best_effort(traceback.format_exception, error, otherwise=[])).splitlines()[-LINES:]
    frames = [frame for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    own = [frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder)]
    if not own or any(f'File "{own[-1].filename}", line {own[-1].lineno},' in line for line in last):
        return last
    lines = "".join(traceback.StackSummary.from_list(own[-OWN:]).format()).splitlines()
    return [*lines, "  ...", *last[len(lines) + 1 - LINES :]]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, the first one first."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and not any(one is known for known in found):
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return reversed(found)
