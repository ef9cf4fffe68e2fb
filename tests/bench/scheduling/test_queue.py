"""What stands at the place of a run's record when the run is about to be done, and which runs count as done."""

import shutil

import pytest
from record_factory import changed, make_record

from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.results import run_record_path
from bench.scheduling.done_runs import newer_records, read_results
from bench.scheduling.queue import Queue
from leaderboard.records.store import write_record

FAILURE = {"kind": "RuntimeError", "message": "no", "traceback_tail": []}


@pytest.fixture
def runs():
    return plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [0, 1], load_protocol("quick"))


def record_of(run, **values):
    made = make_record(run.model, run.task, run.realization, protocol="quick", run_id=run.id, **values)
    return changed(made, run_id=run.id)


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"schema_version": 1, "run_id"', b"\x00" * 9])
def test_a_damaged_record_is_set_aside_by_the_worker_that_takes_its_run(tmp_path, runs, capsys, content):
    first, second = runs
    for run in runs:
        write_record(tmp_path, record_of(run)).write_bytes(content)
    elsewhere = write_record(tmp_path / "laptop", record_of(first))
    elsewhere.write_bytes(content)
    assert read_results(tmp_path) == []
    assert capsys.readouterr().err.count("counts as not done") == 3
    queue = Queue(runs, tmp_path)
    assert run_record_path(tmp_path, first).read_bytes() == content, "nothing is touched before a run is taken"
    assert queue.take() is first
    assert f"kept as {first.id}.json.unreadable" in capsys.readouterr().err
    assert run_record_path(tmp_path, first).with_name(f"{first.id}.json.unreadable").read_bytes() == content
    assert not run_record_path(tmp_path, first).exists()
    assert run_record_path(tmp_path, second).read_bytes() == elsewhere.read_bytes() == content
    assert queue.finish(first, record_of(first)).status == "ok"
    queue.close()


@pytest.mark.parametrize("failure", [None, FAILURE])
def test_a_readable_record_is_never_set_aside(tmp_path, runs, failure):
    write_record(tmp_path, record_of(runs[0], failure=failure))
    queue = Queue(runs, tmp_path)
    taken = queue.take()
    assert (taken is runs[0]) if failure else (taken.run_id == runs[0].id)
    queue.close()
    assert list(tmp_path.rglob("*.unreadable*")) == []


def test_a_newer_record_is_not_written_over(tmp_path, runs, capsys):
    path = write_record(tmp_path, record_of(runs[0], software={"scalebench": "7.0"}))
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert newer_records(runs, tmp_path) == {runs[0].id}
    assert read_results(tmp_path) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "use equiscale 7.0 or newer" in line and "is not repeated over it" in line
    queue = Queue(runs, tmp_path)
    queue.take()
    queue.close()
    assert path.exists() and list(tmp_path.rglob("*.unreadable*")) == []


def test_runs_behind_links_and_in_copied_folders_are_done(tmp_path, runs):
    results, disk = tmp_path / "results", tmp_path / "disk"
    write_record(disk, record_of(runs[0]))
    write_record(results / "laptop", record_of(runs[1]))
    (results / "quick").symlink_to(disk / "quick")
    assert {record.run_id for record in read_results(results)} == {run.id for run in runs}
    shutil.rmtree(disk)
    assert {record.run_id for record in read_results(results)} == {runs[1].id}
