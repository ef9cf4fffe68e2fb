"""Training one run: repeatable to the bit, resumable at any step, selected on validation."""

import pytest
import torch

from bench.checkpoint import Checkpoint
from bench.errors import BenchError, Stopped
from bench.execute import execute
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.train import Watch, train

CPU = torch.device("cpu")


def one_run(tiny, model="tiny-net", task="mnist-scale-28+"):
    return plan_runs([PlanPart(models=[model], tasks=[task])], [0], load_protocol(str(tiny)))[0]


def metrics(record):
    return record.metrics.model_dump()


class StopAt:
    """Ask to stop at the n-th question."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left == 0


def resumed(run, folder, stops):
    """Do a run that is stopped after each of these numbers of steps; every part starts from disk alone."""
    for steps in stops:
        with pytest.raises(Stopped):
            execute(run, CPU, folder, Watch(should_stop=StopAt(steps)))
        torch.manual_seed(999)  # what other runs of the process may leave behind
    return execute(run, CPU, folder, Watch())


@pytest.mark.parametrize("model", ["tiny-net", "cnn"])
def test_resumed_run_equals_uninterrupted_to_the_bit(tiny, plugin, tmp_path, model):
    run = one_run(tiny, model)
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    again = execute(run, CPU, tmp_path / "again", Watch())
    pieces = resumed(run, tmp_path / "pieces", stops=[1, 1, 2, 3])
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


def test_best_epoch_is_tested_not_the_last(tiny, plugin, tmp_path):
    """The weights that answer the test are those of the earliest epoch with the lowest validation error."""
    run = one_run(tiny)
    checkpoint = Checkpoint(tmp_path, run.id)
    trained = train(run, CPU, checkpoint, Watch())
    stored = torch.load(checkpoint.path, weights_only=True)
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


def test_damaged_checkpoint_is_named_and_the_run_starts_again(tiny, plugin, tmp_path):
    run, said = one_run(tiny), []
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    with pytest.raises(Stopped):
        execute(run, CPU, tmp_path, Watch(should_stop=StopAt(5)))
    path = Checkpoint(tmp_path / ".checkpoints", run.id).path
    path.write_bytes(path.read_bytes()[:1000])
    record = execute(run, CPU, tmp_path, Watch(say=said.append))
    assert str(path) in said[0]
    assert metrics(record) == metrics(whole)


def test_full_disk_is_one_line(tiny, plugin, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(BenchError, match=r"No space left on device; free some space") as caught:
        execute(one_run(tiny), CPU, tmp_path, Watch())
    assert "\n" not in str(caught.value)


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-vector"])
def test_repeatable_on_cuda(tiny, plugin, tmp_path, model):
    run, cuda = one_run(tiny, model), torch.device("cuda")
    whole = execute(run, cuda, tmp_path / "whole", Watch())
    with pytest.raises(Stopped):
        execute(run, cuda, tmp_path / "pieces", Watch(should_stop=StopAt(4)))
    assert metrics(execute(run, cuda, tmp_path / "pieces", Watch())) == metrics(whole)
