"""From a run to its record: train, measure, describe, and turn failures into records too."""

from __future__ import annotations

import math
import statistics
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

import datasets
from bench.errors import NotSaved
from bench.machine.device import on, peak_memory, reset_peak_memory
from bench.machine.hardware import describe_hardware, describe_software
from bench.plan import Run
from bench.record import execution_used, succeeded_record
from bench.training.failure import record_failure
from bench.training.state.checkpoint import Checkpoint
from bench.training.state.weights import keep_weights
from bench.training.train import Trained, train
from bench.training.trainer import Watch
from leaderboard.errors import RecordError
from leaderboard.records.schema import SCALE_EDGES, Hardware, Metrics, Record, ScaleBin, Timings
from leaderboard.records.timing import OTHERS_ALLOWED


def execute(run: Run, device: torch.device, results: Path, watch: Watch, jobs: int = 1) -> Record:
    """Do one run and return its record, whatever becomes of it. `jobs`: how many runs go side by side, for the record.

    Raises Stopped: the state is saved.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    checkpoint = Checkpoint(results, run.id)
    describe_software()  # kept by the process: of the code as it was loaded, not as it is when the run ends
    try:
        with on(device):
            reset_peak_memory(device)
            trained = train(run, device, checkpoint, watch)
            record = _succeeded(run, device, trained, started, time.perf_counter() - clock, jobs)
    except (Exception, SystemExit) as error:  # a model, the device or the disk may fail in any way; the others go on
        return record_failure(run, device, error, started)
    finally:
        with suppress(NotSaved):  # what comes of the run is known without its last state
            checkpoint.finish()
    try:
        kept = keep_weights(results, record, trained.weights, trained.progress.form, watch.say)
    except RecordError as error:  # no reason to lose the result
        watch.say(str(error))
        return record
    return record.model_copy(update={"weights_sha256": kept})


def _succeeded(run: Run, device: torch.device, trained: Trained, started: datetime, seconds: float, jobs: int) -> Record:
    progress, wrong = trained.progress, trained.answers != trained.labels
    indices = wrong.nonzero().flatten()
    metrics = Metrics(
        test_error=100 * int(wrong.sum()) / len(wrong),
        test_count=len(wrong),
        best_epoch=progress.best_epoch,
        validation_error_curve=progress.validation_error_curve,
        train_loss_curve=progress.train_loss_curve,
        error_by_scale=_error_by_scale(run, wrong),
        wrong_answers=list(zip(indices.tolist(), trained.answers[indices].tolist(), strict=True)),
    )
    timings = Timings(
        train_seconds_per_epoch=progress.train_seconds,
        validation_seconds_per_epoch=progress.validation_seconds,
        test_seconds=trained.test_seconds,
        # A resumed run counts the seconds of its earlier parts too.
        total_seconds=max(seconds, math.fsum([*progress.train_seconds, *progress.validation_seconds, trained.test_seconds])),
    )
    return succeeded_record(
        run,
        _hardware(device, progress.background_load),
        started,
        peak_memory(device),
        parameters=trained.parameters,
        metrics=metrics,
        timings=timings,
        execution=execution_used(run, cuda_graph=trained.graphed, evaluation_batch=trained.evaluation_batch, jobs=jobs),
    )


def _error_by_scale(run: Run, wrong: Tensor) -> list[ScaleBin]:
    if not datasets.has_scales(run.task):
        return []
    scales = datasets.load_scales(run.task, run.realization, "test", test_size=run.recipe.data.test_size)[: len(wrong)]
    bins = torch.bucketize(scales, torch.tensor(SCALE_EDGES[1:-1], dtype=torch.float64), right=True)
    counts, wrongs = (torch.bincount(some, minlength=len(SCALE_EDGES) - 1).tolist() for some in (bins, bins[wrong]))
    bounds = zip(pairwise(SCALE_EDGES), counts, wrongs, strict=True)
    return [ScaleBin(low=low, high=high, count=count, wrong=mistaken) for (low, high), count, mistaken in bounds]


def _hardware(device: torch.device, background_load: list[float]) -> Hardware:
    """The device, and whether others used the processors as well: nobody counts those, so "at least one" is 1."""
    hardware = describe_hardware(device)
    if device.type == "cuda" or not background_load:
        return hardware
    return hardware.model_copy(update={"other_processes": int(statistics.median(background_load) > OTHERS_ALLOWED)})
