"""Whoever watches a run is told of each epoch's end, with the numbers that the record will have, and changes nothing by it."""

import pytest
from tiny import PLUGIN, TINY
from tiny_runs import CPU, StopAt, metrics, one_run

import models
from bench.errors import Stopped
from bench.training.run import execute
from bench.training.trainer import Watch


@pytest.fixture
def tiny(tmp_path, no_plugins):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "my_net.py").write_text(PLUGIN)
    models.load_plugin(tmp_path / "my_net.py")
    return tmp_path / "tiny.yaml"


def watched(run, folder, **others):
    told = []

    def on_epoch(progress):
        curves = progress.train_loss_curve, progress.validation_error_curve, progress.train_seconds
        told.append((progress.epoch, *(curve[-1] for curve in curves if curve)))

    return told, lambda: execute(run, CPU, folder, Watch(on_epoch=on_epoch, **others))


def test_every_epoch_is_told_once_it_is_known(tiny, tmp_path):
    run = one_run(tiny)
    told, do = watched(run, tmp_path / "told")
    record = do()
    seconds = record.timings.train_seconds_per_epoch
    loss, error = record.metrics.train_loss_curve, record.metrics.validation_error_curve
    assert told == list(zip([1, 2, 3], loss, error, seconds, strict=True))
    assert metrics(record) == metrics(execute(run, CPU, tmp_path / "untold", Watch()))


def test_a_run_without_validation_tells_its_loss(tiny, tmp_path):
    tiny.write_text(TINY.replace("best-validation", "last"))
    told, do = watched(one_run(tiny), tmp_path)
    record = do()
    assert [(epoch, loss) for epoch, loss, _ in told] == list(enumerate(record.metrics.train_loss_curve, 1))


def test_what_is_left_of_a_run_is_told_alone(tiny, tmp_path):
    run = one_run(tiny)
    told, do = watched(run, tmp_path, should_stop=StopAt(5))  # of three steps an epoch, and a question a batch of validation
    with pytest.raises(Stopped):
        do()
    again, do = watched(run, tmp_path)
    do()
    assert [epoch for epoch, *_ in told + again] == [1, 2, 3] and told
