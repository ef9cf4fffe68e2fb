"""What a sprint says of the records and timings that lie in its folder."""

from datetime import timedelta
from pathlib import Path

import pytest
from record_factory import make_record

from bench.sprint import findings
from leaderboard.reading.folders import read_measurements
from leaderboard.records.measurement import write_measurement
from leaderboard.records.store import write_record
from leaderboard.records.timing import Timing

ROOT = Path(__file__).resolve().parents[3]


def both(folder, graphed=None, **changes):
    write_record(folder / "quick" / "plain", make_record(protocol="quick", finished_after=9.0))
    write_record(folder / "quick" / (graphed or "graphed"), make_record(protocol="quick", finished_after=4.0, **changes))


def test_the_same_answers_are_told_with_both_times(tmp_path):
    both(tmp_path)
    assert (
        findings.compared(tmp_path, True) == "plain 9.0 s (2.00 an epoch), graphed 4.0 s (2.00 an epoch): the same to the bit"
    )


def test_other_answers_stand_out(tmp_path):
    both(tmp_path, wrong=21)
    assert findings.compared(tmp_path, True).endswith(": DIFFERENT test error, wrong answers")


def test_a_run_that_failed_or_never_was_is_named(tmp_path):
    failure = {"kind": "out of memory", "message": "no room", "traceback_tail": []}
    both(tmp_path, failure=failure)
    assert findings.compared(tmp_path, True) == "no result of graphed"
    assert findings.compared(tmp_path, False) == "no result of again"
    assert findings.compared(tmp_path / "none", True) == "no result of plain and graphed"


def test_runs_are_counted_and_their_errors_averaged(tmp_path):
    for realization, wrong in enumerate((20, 30)):
        write_record(tmp_path, make_record(realization=realization, wrong=wrong))
    write_record(tmp_path, make_record("dss-scalar", "mnist-scale-28+", wrong=17))
    write_record(tmp_path, make_record("sicnn", failure={"kind": "x", "message": "y", "traceback_tail": []}))
    (tmp_path / "paper" / "bad.json").write_text('{"schema_version": 1, "run_id": "cnn_mni')
    told = "1 failed, 3 ok; 1 unreadable; mnist-scale-28 cnn 2.50 % (2); mnist-scale-28+ dss-scalar 1.70 % (1)"
    assert findings.runs(tmp_path) == told
    assert findings.runs(tmp_path / "none") == "none"


def test_the_newest_timing_of_each_model_is_told(tmp_path):
    committed = read_measurements(ROOT / "records", Timing)[0]
    one = next(timing for timing in committed if timing.graph_step_seconds is None and not timing.taints)
    later = one.measured + timedelta(hours=1)
    old = one.model_copy(update={"step_seconds": [0.5] * 3, "tainted": ["noise"]})
    new = one.model_copy(
        update={"name": "new", "measured": later, "step_seconds": [0.25] * 3, "graph_step_seconds": [0.125] * 3, "tainted": []}
    )
    for timing in (new, old):
        write_measurement(tmp_path, timing)
    assert findings.timings(tmp_path) == f"1 timings, ms a step plain/graphed: {one.task} {one.model} 250/125"


def test_a_device_is_told_in_a_line(tmp_path):
    with pytest.raises(OSError, match="device"):
        findings.device(tmp_path / "device.json")
    (tmp_path / "device.json").write_text(
        '{"hardware": {"name": "Card", "driver": "580.1"}, "notes": ["nvidia-smi says nothing"], "software": '
        '{"torch": "2.11.0", "cuda": "13.0", "git_commit": "0123456789abcdef"}}'
    )
    assert findings.device(tmp_path / "device.json") == (
        "Card, driver 580.1, torch 2.11.0, CUDA 13.0, commit 0123456789, nvidia-smi says nothing"
    )
