"""What a repeat says of a run, and of which results it counts as a repeat."""

import json

import pytest
from measurement_factory import make_repeat
from pydantic import ValidationError
from record_factory import make_record

from leaderboard.errors import RecordError
from leaderboard.reading.collection import collect
from leaderboard.reading.folders import read_measurements
from leaderboard.records.measurement import write_measurement
from leaderboard.records.repeat import Repeat, digest_of
from leaderboard.records.serialization import parse, to_json
from leaderboard.records.store import write_record

RECORD = make_record()


def test_a_repeat_is_written_once_and_read_at_any_depth(tmp_path):
    repeat = make_repeat(RECORD, wrong=18)
    path = write_measurement(tmp_path, repeat)
    assert path.parent == tmp_path / "repeats" / "mnist-scale-28" / "cnn"
    with pytest.raises(RecordError, match="never overwritten"):
        write_measurement(tmp_path, repeat)
    deep = tmp_path / "a" / "b" / "c" / "d" / "saved.json"
    deep.parent.mkdir(parents=True)
    path.rename(deep)
    assert read_measurements(tmp_path, Repeat) == ([repeat], [])
    assert (repeat.record_error, repeat.repeat_error, repeat.different_answers) == (2.0, 1.8, 2)
    assert repeat.difference == pytest.approx(-0.2)


def test_it_counts_for_the_result_that_it_repeated_and_on_other_hardware_alone(tmp_path):
    write_record(tmp_path, RECORD)
    write_record(tmp_path, other := make_record(realization=1))
    agreeing = [make_repeat(RECORD, by="Ada"), make_repeat(RECORD, by="Bo", wrong=19)]
    here = make_repeat(RECORD, by="Cy", name=RECORD.hardware.name)
    disputed = make_repeat(RECORD, by="Di", wrong=1, verdict="differs")
    of_another_result = make_repeat(make_record(wrong=21), by="Ed")
    of_no_result = make_repeat(make_record("sicnn"), by="Flo")
    for repeat in (*agreeing, here, disputed, of_another_result, of_no_result):
        write_measurement(tmp_path, repeat)
    write_measurement(tmp_path / "copied", agreeing[0])
    found = collect(tmp_path)
    assert sorted(repeat.by for repeat in found.repeats[RECORD.run_id]) == ["Ada", "Bo"]
    assert [repeat.by for repeat in found.disputes[RECORD.run_id]] == ["Di"]
    assert other.run_id not in found.repeats and len(found.repeats) == 1
    write_record(tmp_path / "copied", make_record(wrong=21, finished_after=9))
    assert (collect(tmp_path).repeats, collect(tmp_path).disputes) == ({}, {}), "copies that differ have no result"


@pytest.mark.parametrize("change", [{"cores": 8}, {"memory_bytes": 1}, {"name": "B"}, {"device": "cpu"}])
def test_hardware_is_another_where_the_system_says_so(change):
    same = make_repeat(RECORD, name=RECORD.hardware.name)
    assert not same.on_other_hardware
    assert not make_repeat(RECORD, name=RECORD.hardware.name, driver="9", threads=1, other_processes=3).on_other_hardware
    assert make_repeat(RECORD, **({"name": RECORD.hardware.name} | change)).on_other_hardware


@pytest.mark.parametrize("by", ["", " Ada", "A\nda", "x" * 81, "A\u202eda"])
def test_a_name_is_one_line(by):
    with pytest.raises(ValidationError, match="a name is one line"):
        make_repeat(RECORD, by=by)


@pytest.mark.parametrize(
    "change",
    [
        {"different_answers": 0},
        {"record_wrong": 2000},
        {"verdict": "bitwise"},
        {"verdict": "maybe"},
        {"tolerance": 0},
        {"by": ""},
    ],
)
def test_an_impossible_repeat_is_refused(change):
    content = json.loads(to_json(make_repeat(RECORD, wrong=18)))
    assert parse(json.dumps(content).encode(), Repeat).by == "Ada"
    with pytest.raises(RecordError):
        parse(json.dumps(content | change).encode(), Repeat)


def test_the_digest_is_of_what_a_record_says():
    assert digest_of(RECORD) == digest_of(make_record())
    assert digest_of(make_record(wrong=21)) != digest_of(RECORD) != digest_of(make_record(hardware={"name": "B"}))
    assert digest_of(make_record(software={"cudnn": None})) == digest_of(RECORD)
