"""Training one run: repeatable to the bit, resumable at any step, selected on validation."""

import io
import random
import time
from datetime import datetime

import pytest
import torch
from tiny_runs import CPU, StopAt, metrics, one_run, resumed

from bench.errors import Stopped
from bench.training.run import execute
from bench.training.state.checkpoint import Checkpoint, _state
from bench.training.train import train
from bench.training.trainer import Watch

STEPS = 9  # three epochs of three


def random_stops(seed):
    """Where a run of nine steps is stopped: two to five times, anywhere."""
    draw, stops = random.Random(seed), []
    for _ in range(draw.randint(2, 5)):
        stops.append(draw.randint(1, max(1, STEPS - 1 - sum(stops))))
        if sum(stops) >= STEPS:
            return stops[:-1]
    return stops


@pytest.mark.parametrize("model", ["tiny-net", "cnn", "random-net"])
@pytest.mark.parametrize("seed", range(3))
def test_resumed_run_equals_uninterrupted_to_the_bit(tiny, plugin, tmp_path, model, seed):
    run = one_run(tiny, model)
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    again = execute(run, CPU, tmp_path / "again", Watch())
    pieces = resumed(run, tmp_path / "pieces", random_stops(seed))
    assert whole.status == "ok", whole.failure
    assert metrics(whole) == metrics(again)
    assert metrics(whole) == metrics(pieces)
    assert len(pieces.timings.train_seconds_per_epoch) == 3


def test_what_a_record_holds(tiny, plugin, tmp_path):
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    m = record.metrics
    assert (m.test_count, len(m.validation_error_curve), len(m.train_loss_curve)) == (60, 3, 3)
    assert m.test_error == pytest.approx(100 * len(m.wrong_answers) / 60)
    assert (sum(b.count for b in m.error_by_scale), sum(b.wrong for b in m.error_by_scale)) == (60, len(m.wrong_answers))
    assert m.best_epoch == m.validation_error_curve.index(min(m.validation_error_curve))
    assert record.parameters == 784 * 16 + 16 + 160 + 10
    assert record.peak_memory_bytes > 1e6
    assert record.protocol.recipe["optimizer"]["lr"] == 0.01
    assert record.data.variant == "10k-2k-50k"


@pytest.mark.parametrize(("share", "others"), [(0.5, 1), (0.01, 0)])
def test_a_record_says_whether_others_used_the_processors(tiny, plugin, tmp_path, monkeypatch, share, others):
    monkeypatch.setattr("bench.training.train.BackgroundLoad.share", lambda self: share)
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    assert record.status == "ok"
    assert record.hardware.other_processes == others


def test_best_epoch_is_tested_not_the_last(tiny, plugin, tmp_path):
    """The weights that answer the test are those of the earliest epoch with the lowest validation error."""
    run = one_run(tiny)
    checkpoint = Checkpoint(tmp_path, run.id)
    trained = train(run, CPU, checkpoint, Watch())
    stored = _state(checkpoint.path.read_bytes())
    best = stored["progress"]["best_weights"]
    weight = best["1.weight"]
    assert stored["progress"]["best_epoch"] == trained.progress.best_epoch
    assert torch.equal(weight, stored["network"]["1.weight"]) == (trained.progress.best_epoch == 2)


def test_failures_become_records(tiny, plugin, tmp_path):
    failed = execute(one_run(tiny, "raises-net", "mnist-scale-28"), CPU, tmp_path, Watch())
    assert (failed.status, failed.failure.kind) == ("failed", "RuntimeError")
    assert any("raise RuntimeError" in line for line in failed.failure.traceback_tail)
    assert "--model raises-net" in failed.command
    diverged = execute(one_run(tiny, "nan-net", "mnist-scale-28"), CPU, tmp_path, Watch())
    assert (diverged.status, diverged.metrics) == ("diverged", None)


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("even this fails")


@pytest.mark.parametrize(("error", "kind"), [(MemoryError(), "out of memory"), (Unspeakable(), "Unspeakable")])
def test_no_error_escapes(tiny, plugin, tmp_path, monkeypatch, error, kind):
    def raises(*_):
        raise error

    monkeypatch.setattr("bench.training.run.train", raises)
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    assert (record.status, record.failure.kind) == ("failed", kind)


def test_a_result_that_cannot_be_recorded_costs_one_run(tiny, plugin, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.run._error_by_scale", lambda run, wrong: ["no bin"])
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    assert (record.status, record.failure.kind) == ("failed", "ValidationError")


def damaged(path):
    path.write_bytes(path.read_bytes()[:1000])


def test_damaged_checkpoint_is_named_and_the_one_before_used(tiny, plugin, tmp_path):
    run, said, steps = one_run(tiny), [], []
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(5)))
    checkpoint = Checkpoint(tmp_path, run.id)
    damaged(checkpoint.path)
    record = execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at), say=said.append))
    assert str(checkpoint.path) in said[0]
    assert len(said) == 1
    assert steps[0] == (1, 0)  # the end of the first epoch had been saved
    assert metrics(record) == metrics(whole)


def test_without_any_readable_checkpoint_the_run_starts_again(tiny, plugin, tmp_path):
    run, said, steps = one_run(tiny), [], []
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(5)))
    checkpoint = Checkpoint(tmp_path, run.id)
    damaged(checkpoint.path)
    damaged(checkpoint.previous)
    assert execute(run, CPU, tmp_path, Watch(on_step=lambda *at: steps.append(at), say=said.append)).status == "ok"
    assert (len(said), steps[0]) == (2, (0, 0))


def test_a_long_epoch_is_saved_in_between_and_saving_is_no_training_time(tiny, plugin, tmp_path, monkeypatch):
    run, saves = one_run(tiny), []
    whole = train(run, CPU, Checkpoint(tmp_path / "whole", run.id), Watch())
    checkpoint = Checkpoint(tmp_path, run.id, minutes_between=0)
    save = Checkpoint.save

    def slow_save(self, progress, *rest):
        saves.append((progress.epoch, progress.step))
        shift = 1000 * len(saves)
        monkeypatch.setattr(time, "perf_counter", lambda: clock() + shift)
        save(self, progress, *rest)

    clock = time.perf_counter
    monkeypatch.setattr(Checkpoint, "save", slow_save)
    trained = train(run, CPU, checkpoint, Watch())
    assert sum(step > 0 for _, step in saves) == STEPS
    assert trained.progress.validation_error_curve == whole.progress.validation_error_curve
    assert max(trained.progress.train_seconds) < 100


def test_a_full_disk_fails_the_run_and_leaves_nothing_half_written(tiny, plugin, tmp_path, monkeypatch):
    def full(state, file, save=torch.save):
        if isinstance(file, io.BytesIO):  # in memory
            return save(state, file)
        file.write(b"a part of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    assert (record.status, record.failure.kind) == ("failed", "not saved")
    assert "No space left on device; free some space" in record.failure.message
    assert list((tmp_path / ".checkpoints").iterdir()) == []


def test_a_clock_that_goes_backwards(tiny, plugin, tmp_path, monkeypatch):
    class Backwards(datetime):
        hour = 12

        @classmethod
        def now(cls, tz=None):
            cls.hour -= 1
            return datetime(2026, 1, 1, cls.hour, tzinfo=tz)

    monkeypatch.setattr("bench.record.datetime", Backwards)
    record = execute(one_run(tiny), CPU, tmp_path, Watch())
    assert record.status == "ok"
    assert record.finished == record.started
    assert record.timings.total_seconds > 0


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-vector", "random-net"])
@pytest.mark.parametrize("seed", range(3))
def test_resumed_equals_uninterrupted_on_cuda(tiny, plugin, tmp_path, model, seed):
    run, cuda = one_run(tiny, model), torch.device("cuda")
    whole = execute(run, cuda, tmp_path / "whole", Watch())
    assert whole.status == "ok", whole.failure
    assert metrics(resumed(run, tmp_path / "pieces", random_stops(seed), cuda)) == metrics(whole)
