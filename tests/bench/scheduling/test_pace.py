"""How long a run still takes, on simulated clocks: by earlier records, by its steps, and then by its own epochs."""

from types import SimpleNamespace

import pytest

from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.messages import EpochDone
from bench.scheduling.pace import Pace, steps_per_epoch

STEP, VALIDATION, BETWEEN, TEST = 0.125, 4.0, 0.5, 100.0  # seconds; 50,000 test images are 25 times 2,000


def a_run(task="mnist-scale-28", protocol="paper", **settings):
    return plan_runs([PlanPart(models=["cnn"], tasks=[task])], [0], load_protocol(protocol).with_settings(**settings))[0]


def simulated(run, *, expected=None, building=30.0, from_epoch=0, validated=True):
    """The run from its beginning to its end: (time since, what is left in truth, Pace) after every step and every epoch."""
    pace, now, steps, epochs = Pace(run, 1000.0, expected), 1000.0 + building, steps_per_epoch(run), run.recipe.epochs
    validation, test = (VALIDATION, TEST) if validated else (0.0, TEST)
    each = steps * STEP + validation + BETWEEN
    end = now + (epochs - from_epoch) * each + test
    for epoch in range(from_epoch, epochs):
        for step in range(steps):
            now += STEP
            pace.step(epoch, step, now)
            yield now - 1000.0, end - now, pace
        now += validation
        pace.epoch(EpochDone(epoch + 1, 0.5, 2.5 if validated else None, steps * STEP, validation), now)
        yield now - 1000.0, end - now, pace
        now += BETWEEN


@pytest.mark.parametrize("from_epoch", [0, 57])
def test_the_time_to_go_falls_to_the_end_and_is_right_once_an_epoch_was_seen(from_epoch):
    run, before, seen = a_run(), float("inf"), 0
    for since, truth, pace in simulated(run, from_epoch=from_epoch):
        left = pace.left(1000.0 + since)
        if pace.latest is None:
            continue
        assert abs(left - truth) <= BETWEEN * 60, (left, truth)
        if seen > 1:
            assert abs(left - truth) <= 1.0
            assert left <= before + 1e-6
        before, seen = left, pace.latest.epochs - from_epoch
    assert before == pytest.approx(TEST)  # the test is still to come


def test_it_goes_on_falling_while_an_epoch_validates_and_the_run_is_tested():
    *_, (_, _, pace) = simulated(a_run())
    assert [pace.left(pace.ended + after) for after in (0, 40, 100, 200)] == pytest.approx([100, 60, 0, 0])
    assert pace.whole(pace.ended) == pytest.approx(60 * (79 * STEP + VALIDATION + BETWEEN) + TEST)


def test_an_epoch_that_hangs_takes_only_itself_off():
    run = a_run()
    for _, _, pace in simulated(run):
        if pace.latest is not None and pace.latest.epochs == 58:
            break
    each = pace.seconds_per_epoch
    assert pace.left(pace.ended + 10_000) == pytest.approx(each + TEST)


def test_before_an_epoch_has_ended_steps_tell():
    run = a_run()
    guesses = [(pace.left(1000.0 + at), truth) for at, truth, pace in simulated(run) if pace.latest is None]
    assert guesses[0][0] is None  # no record, one step
    known = [(left, truth) for left, truth in guesses if left is not None]
    assert len(known) > 30
    for left, truth in known:
        assert 0.5 < left / truth < 1.5  # how an answer compares with a training step is a guess


def test_earlier_records_tell_until_then():
    run = a_run()
    first = next(iter(simulated(run, expected=600.0)))
    assert first[2].left(1000.0 + 45.0) == pytest.approx(600.0 - 45.0, abs=1.0)
    assert Pace(run, 0.0, 600.0).left(700.0) == 0.0
    assert Pace(run, 0.0).left(700.0) is Pace(run, 0.0).whole(700.0) is None
    assert Pace(run, 0.0, 600.0).whole(100.0) == 600.0
    resumed = next(iter(simulated(run, expected=600.0, from_epoch=45, building=0.0)))
    assert resumed[2].left(1000.0) == pytest.approx(150.0, rel=0.01)


def test_a_recipe_without_validation():
    run = a_run("stl10+")
    for _, _, pace in simulated(run, validated=False):
        if pace.latest is not None and pace.latest.epochs == 2:
            break
    epochs = (run.recipe.epochs - 2) * (40 * STEP + BETWEEN)
    assert pace.left(pace.ended) == pytest.approx(epochs + 40 * STEP * 8_000 / (3 * 5_000), rel=0.01)


def test_the_slower_the_epochs_the_longer():
    pace, now = Pace(a_run(), 0.0), 0.0
    for epoch, seconds in enumerate([10.0] * 5 + [20.0] * 10):
        now += seconds
        pace.epoch(EpochDone(epoch + 1, 0.5, 2.5, seconds, 0.0), now)
    assert pace.seconds_per_epoch == 20.0


def test_images_that_a_recipe_asks_for_count():
    data = {"train_images": 100, "validation_images": 10, "test_images": 50, "test_size": 50_000}
    recipe = SimpleNamespace(epochs=2, batch_size=30, select="best-validation", data=SimpleNamespace(**data))
    run = SimpleNamespace(task="mnist-scale-28", recipe=recipe)
    pace = Pace(run, 0.0)
    pace.epoch(EpochDone(2, 0.5, 2.5, 8.0, 1.0), 10.0)
    assert (steps_per_epoch(run), pace.left(10.0)) == (4, 5.0)
