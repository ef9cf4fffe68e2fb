"""Equivariance errors and scale sweeps: read back as written; impossible ones are refused."""

from pathlib import Path

import pytest
from measurement_factory import make_equivariance, make_scale_sweep
from pydantic import ValidationError

from leaderboard.reading.folders import read_measurements
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.measurement import write_measurement
from leaderboard.records.scale_sweep import ScaleSweep


def test_read_back_as_written(tmp_path: Path) -> None:
    at_start, trained, tested = make_equivariance(), make_equivariance(run_id="r"), make_scale_sweep()
    for measurement in (at_start, trained, tested):
        write_measurement(tmp_path, measurement)
    assert read_measurements(tmp_path, Equivariance) == ([at_start, trained], [])
    assert read_measurements(tmp_path, ScaleSweep) == ([tested], [])


def test_means_keep_the_directions_apart() -> None:
    measured = make_equivariance()
    layer = measured.layers[0]
    assert measured.mean(layer, "shrink") == pytest.approx(0.2)
    assert measured.mean(layer, "enlarge") == pytest.approx(0.2)
    assert measured.mean(layer, "both") == pytest.approx(0.2)
    assert measured.mean(measured.network, "shrink") == pytest.approx(0.6)
    assert measured.mean(measured.network, "enlarge") == pytest.approx(0.5)
    only_smaller = make_equivariance(factors=[0.5, 0.6, 0.7])
    assert only_smaller.mean(layer, "enlarge") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factors": [0.5, 0.8]}, "one number per factor"),
        ({"changed_answers": [0.5]}, "one number per factor"),
        ({"factors": [0.5, 1.0, 2.0]}, "differ"),
        ({"factors": [0.5, 0.5, 2.0]}, "differ"),
        ({"state": "trained"}, "run_id"),
        ({"weights_seed": None}, "weights_seed"),
        ({"image_count": 0}, "image_count"),
    ],
)
def test_impossible_equivariance(changes: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_equivariance(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factors": [{"factor": 1.0, "count": 2, "wrong": 3}]}, "wrong"),
        ({"factors": [{"factor": f, "count": 2, "wrong": 1} for f in (1.0, 0.5)]}, "ascend"),
        ({"factors": []}, "factors"),
        ({"own_sizes_wrong": 1001}, "own_sizes_wrong"),
    ],
)
def test_impossible_scale_sweep(changes: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_scale_sweep(**changes)


def test_errors_in_percent() -> None:
    assert [at.error for at in make_scale_sweep().factors] == pytest.approx([60.0, 4.0, 70.0])
