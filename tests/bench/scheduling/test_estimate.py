"""Estimates of how long runs will take, durations in words, and time budgets."""

from types import SimpleNamespace

import pytest

from bench.errors import BenchError
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.estimate import Estimates, clock_text
from bench.scheduling.stop import StopRequest, parse_duration


def record(run, device, seconds, jobs=None):
    return SimpleNamespace(
        model=run.model,
        task=run.task,
        protocol=SimpleNamespace(digest=run.recipe.digest),
        hardware=SimpleNamespace(name=device),
        timings=SimpleNamespace(total_seconds=seconds),
        execution=SimpleNamespace(jobs=jobs) if jobs else None,
    )


def test_this_device_counts_before_others_and_unknown_runs_count_as_the_mean():
    runs = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28", "mnist-scale-56"])], [0], load_protocol("paper"))
    known, unknown = runs
    assert Estimates([], "here").total(runs) is None
    elsewhere = Estimates([record(known, "there", 100)], "here")
    assert (elsewhere.seconds(known), elsewhere.seconds(unknown), elsewhere.covers(runs)) == (100, None, 1)
    assert elsewhere.total(runs) == 200
    elsewhere.learn(record(known, "here", 10))
    elsewhere.learn(record(known, "here", 30))
    assert elsewhere.seconds(known) == 20
    elsewhere.learn(record(known, "here", 120, jobs=6))  # took a sixth of the device
    assert elsewhere.seconds(known) == 20


def test_another_recipe_tells_nothing():
    parts = [PlanPart(models=["cnn"], tasks=["mnist-scale-28"])]
    paper, quick = (plan_runs(parts, [0], load_protocol(name))[0] for name in ("paper", "quick"))
    assert Estimates([record(quick, "here", 1)], "here").seconds(paper) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown time"), (4.25, "4.2 s"), (42, "42 s"), (600, "10 min"), (4800, "80 min"), (8000, "2 h 13 min")],
)
def test_durations_in_words(seconds, text):
    assert clock_text(seconds) == text


def test_time_budget():
    assert (parse_duration("90s"), parse_duration("9m"), parse_duration("1.5h")) == (90, 540, 5400)
    for wrong in ("", "9", "m", "-1m", "0s", "1e9s", "9 minutes", "9m9s"):
        with pytest.raises(BenchError, match="9m"):
            parse_duration(wrong)
    assert StopRequest(1e-9)()
    assert not StopRequest(3600)()
    assert not StopRequest()()
