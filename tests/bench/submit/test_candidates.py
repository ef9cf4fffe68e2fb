"""Which files run ids, files and folders stand for, and which of them are taken."""

import pytest
from measurement_factory import make_equivariance, make_repeat, make_scale_sweep
from record_factory import changed
from submissions import planned, sound

from bench.errors import BenchError
from bench.submit.candidates import find, read_records, sift
from leaderboard.errors import RecordError
from leaderboard.records.measurement import write_measurement
from leaderboard.records.store import write_record

RUNS = planned(realizations=range(3))
RECORDS = [sound(run, wrong=1000 + 10 * run.realization) for run in RUNS]


@pytest.fixture
def results(tmp_path):
    """Two finished runs, one of them with two measurements, a file of others and one that is damaged."""
    root = tmp_path / "results"
    for record in RECORDS[:2]:
        write_record(root, record)
    run_id = RECORDS[0].run_id
    write_measurement(root, make_equivariance(run_id=run_id))
    write_measurement(root, make_scale_sweep(run_id=run_id, name=run_id))
    (root / "package.json").write_text("{}")
    write_record(root, RECORDS[2]).write_text("{")
    return root


def names(candidates):
    return sorted(
        one.place.as_posix().removesuffix(".json").replace(f"/{RUNS[0].id}", "/0").replace(f"/{RUNS[1].id}", "/1")
        for one in candidates
    )


ALL = [
    "equivariance/mnist-scale-28/cnn/0",
    "generalisation/mnist-scale-28/cnn/0",
    "short/mnist-scale-28/cnn/0",
    "short/mnist-scale-28/cnn/1",
]


def test_everything_in_results_and_what_is_damaged(results):
    for asked in ([], [str(results)], [str(results.parent)]):
        found, bad = find(asked, results)
        assert names(found) == ALL
        assert len(bad) == 1 and RUNS[2].id in bad[0][0]


def test_a_run_comes_with_what_was_measured_of_it_and_a_file_alone(results):
    found, bad = find([RUNS[0].id], results)
    assert (names(found), bad) == (ALL[:3], [])
    file = next(results.rglob(f"short/*/*/{RUNS[1].id}.json"))
    found, bad = find([str(file), RUNS[1].id], results)
    assert (names(found), bad) == (ALL[3:], [])


def test_what_is_not_there_is_one_line(results):
    with pytest.raises(BenchError, match=rf"no run in .*results \(did you mean '{RUNS[0].id}'\?\)"):
        find([RUNS[0].id[:-1]], results)
    with pytest.raises(BenchError, match="truncated or damaged"):
        find([RUNS[2].id], results)
    with pytest.raises(RecordError, match=r"package\.json cannot be submitted: it is no record"):
        find([str(results / "package.json")], results)


def sifted(results, records=(), dirty=False):
    for record in records:
        write_record(results.parent / "records", record)
    there = read_records(results.parent / "records") if records else []
    return sift(find([], results)[0], there, allow_dirty=dirty)


def test_what_is_new_is_taken(results):
    offer = sifted(results)
    assert (names(offer.accepted), offer.refused, offer.known) == (ALL, [], 0)


def test_what_lies_there_already_is_counted(results):
    copy = changed(RECORDS[0], software=RECORDS[0].software.model_dump() | {"python": "3.12"})
    offer = sifted(results, [copy])
    assert (names(offer.accepted), offer.refused, offer.known) == ([*ALL[:2], ALL[3]], [], 1)


def test_what_contradicts_is_refused_and_a_repeat_is_named(results):
    offer = sifted(results, [sound(RUNS[0], wrong=999)])
    ((name, why),) = offer.refused
    assert name == RUNS[0].id and "(2.000 % here, 1.998 % there)" in why and f"bench verify {RUNS[0].id} --keep records" in why
    same_count = RECORDS[0].metrics.model_dump() | {"wrong_answers": [(i, 9 - a) for i, a in RECORDS[0].metrics.wrong_answers]}
    write_record(results / "z", changed(RECORDS[1], metrics=same_count))
    found = sift(find([], results)[0], [], allow_dirty=False)
    assert [name for name, _ in found.refused] == [RUNS[1].id], "of two that are offered nobody knows which is right"
    assert names(found.accepted) == ALL[:3]


def test_a_failure_does_not_contradict_the_result_beside_it(results):
    failure = {"kind": "x", "message": "", "traceback_tail": []}
    write_record(results / "a", changed(RECORDS[0], status="failed", metrics=None, failure=failure))
    write_record(results / "z", RECORDS[1])
    offer = sifted(results)
    assert (names(offer.accepted), offer.refused, offer.known) == (ALL, [], 0)


def test_changes_that_were_not_committed_are_refused_unless_said(results):
    software = RECORDS[2].software.model_dump() | {"git_dirty": True}
    next(results.rglob(f"*/{RUNS[2].id}.json")).unlink()
    write_record(results, changed(RECORDS[2], software=software))
    ((name, why),) = sifted(results).refused
    assert name == RUNS[2].id and "say --dirty" in why
    assert sifted(results, dirty=True).refused == []


def test_measurements_need_their_run_and_no_taint(results, tmp_path):
    write_measurement(results, make_scale_sweep("sicnn"))
    write_measurement(results, make_equivariance("sicnn", run_id="sicnn_of_nobody"))
    write_measurement(results, make_repeat(RECORDS[2]))
    offer = sifted(results)
    assert {why for _, why in offer.refused} == {"its run is neither submitted nor in records/"} and len(offer.refused) == 3
    offer = sifted(results, [RECORDS[2]])
    assert len(offer.refused) == 2, "a repeat goes with the record in records/"


def test_committed_records_that_cannot_be_read_come_first(results):
    with pytest.raises(RecordError, match=r"cannot be read: .*mend that first"):
        read_records(results)
