"""A timing whose numbers cannot be true is tainted, whenever it was made; and older timings stay what they were."""

import json
from pathlib import Path
from typing import Any

import pytest
from timing_factory import a_timing, two_devices

from leaderboard.reading.folders import read_measurements
from leaderboard.records.serialization import to_json
from leaderboard.records.timing import Timing
from leaderboard.timings.markdown import timings_markdown
from leaderboard.timings.tables import build_tables

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"matmul_rate": 8e10}, "step: counted operations at 125% of the rate of a large matrix product"),
        ({"copy_rate": 5e9}, "step: counted bytes at 200% of the rate of a large copy"),
        ({"matmul_rate": 1.2e12, "graph_step_seconds": [0.001]}, "step as a CUDA graph: counted operations at 833%"),
        ({"copy_rate": 2e10, "graph_step_seconds": [0.04]}, "step as a CUDA graph: counted bytes at 125%"),
        ({"matmul_rate": 1.2e12, "compiled_step_seconds": [0.001]}, "compiled step: counted operations at 833%"),
        ({"inference_seconds": [0.2, 0.101, 0.1005]}, "the step, which holds a forward pass, took less than inference (0.1 s"),
        ({"latency_seconds": [0.001, 0.0]}, "latency: a sample of 0 s"),
        ({"step_seconds": [0.0]}, "step: a sample of 0 s"),
    ],
)
def test_what_cannot_be_true_taints(changes: dict[str, Any], why: str) -> None:
    timing = a_timing(**changes)
    assert timing.tainted == [] and any(found.startswith(why) for found in timing.taints), timing.taints
    assert build_tables([timing]) == ()
    assert why.partition(" (")[0].replace("_", "&#95;") in timings_markdown([timing])


def test_what_can_be_true_does_not() -> None:
    """A rate of exactly the device's; a compiled step, which moves fewer bytes than were counted; a slow image."""
    assert a_timing(matmul_rate=1e11, copy_rate=1e10, step_seconds=[0.1], compiled_step_seconds=[0.1]).taints == []
    assert a_timing(copy_rate=2e10, compiled_step_seconds=[0.01]).taints == []
    assert a_timing(latency_seconds=[0.09], step_seconds=[0.1], inference_seconds=[0.1]).taints == []


def test_what_was_known_comes_first_and_nothing_is_said_twice() -> None:
    (reason,) = a_timing(step_seconds=[0.1], matmul_rate=8e10).taints
    assert a_timing(step_seconds=[0.1], matmul_rate=8e10, tainted=[reason, "heat"]).taints == [reason, "heat"]
    assert a_timing(step_seconds=[0.1], matmul_rate=8e10, tainted=["heat"]).taints == ["heat", reason]


@pytest.mark.parametrize("field", ["step_seconds", "inference_seconds", "latency_seconds"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_what_is_no_time_is_no_timing(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        a_timing(**{field: [0.1, value]})


def test_older_timings_have_no_code_and_newer_ones_keep_theirs() -> None:
    older = json.loads(to_json(two_devices()[0]))
    assert older.pop("code") is None
    timing = Timing.model_validate_json(json.dumps(older))
    assert timing.code is None and timing.own_code == timing.plain_code == "commit 0123456789abcdef"
    newer = a_timing(code={"model": "m", "plain": "p"})
    assert Timing.model_validate_json(to_json(newer)) == newer and (newer.own_code, newer.plain_code) == ("m", "p")


def test_committed_timings_faster_than_their_device_are_in_no_table() -> None:
    timings, unreadable = read_measurements(ROOT / "records", Timing)
    assert not unreadable
    shown = {cell.timing.name for table in build_tables(timings) for cell in table.cells.values()}
    too_fast = {timing.name for timing in timings if timing.matmul_fraction > 1 or timing.copy_fraction > 1}
    assert too_fast and not too_fast & shown
