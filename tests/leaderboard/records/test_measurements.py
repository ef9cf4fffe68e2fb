"""What is measured beside runs: written once, read back strictly, never taken for a run."""

from pathlib import Path
from typing import Any, Literal

import pytest
from record_factory import START, make_record

from leaderboard.errors import RecordError
from leaderboard.reading.folders import read_all, read_measurements
from leaderboard.records.measurement import Measurement, write_measurement
from leaderboard.records.store import write_record


class Length(Measurement):
    kind: Literal["timings"] = "timings"
    metres: float


def a_length(**changes: Any) -> Length:
    run = make_record()
    said = {"name": "a", "model": "cnn", "task": "mnist-scale-28", "measured": START, "command": "bench time", "metres": 1.5}
    return Length.model_validate(said | {"hardware": run.hardware, "software": run.software} | changes)


def test_read_back_as_written_and_never_taken_for_a_run(tmp_path: Path) -> None:
    write_record(tmp_path, make_record())
    path = write_measurement(tmp_path, a_length())
    assert path == tmp_path / "timings" / "mnist-scale-28" / "cnn" / "a.json"
    assert read_measurements(tmp_path, Length) == ([a_length()], [])
    records, unreadable = read_all(tmp_path)
    assert (len(records), unreadable) == (1, [])


def test_never_overwritten(tmp_path: Path) -> None:
    write_measurement(tmp_path, a_length())
    with pytest.raises(RecordError, match="never overwritten"):
        write_measurement(tmp_path, a_length(metres=2.0))


@pytest.mark.parametrize(
    ("old", "new", "said"), [("1.5", '"x"', "metres"), ('"schema_version": 1', '"schema_version": 9', "9")]
)
def test_what_is_none_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write_measurement(tmp_path, a_length())
    path.write_text(path.read_text().replace(old, new))
    found, (bad,) = read_measurements(tmp_path, Length)
    assert found == []
    assert said in bad.reason and bad.name == "timings/mnist-scale-28/cnn/a.json"


def test_a_folder_without_any(tmp_path: Path) -> None:
    assert read_measurements(tmp_path, Length) == ([], [])
