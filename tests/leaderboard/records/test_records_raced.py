"""Many writers of one record: one wins, and a finished run is never replaced."""

import os
import threading
from pathlib import Path

import pytest
from record_factory import make_record

from leaderboard import RecordError
from leaderboard.records.store import read_record, write_record

FAILURE = {"kind": "RuntimeError", "message": "no", "traceback_tail": []}


def race(writers: list, tmp_path: Path) -> list[str]:
    start, outcomes = threading.Barrier(len(writers)), []

    def write(record):
        start.wait()
        try:
            write_record(tmp_path, record)
            outcomes.append("written")
        except RecordError as error:
            outcomes.append("refused" if "never overwritten" in str(error) else str(error))

    threads = [threading.Thread(target=write, args=(record,)) for record in writers]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return outcomes


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_finished_records_is_written(tmp_path, monkeypatch, links):
    if not links:

        def no_links(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
        return_values = [write_record(tmp_path, make_record(run_id="x"))]
        with pytest.raises(RecordError, match="never overwritten"):
            write_record(tmp_path, make_record(run_id="x"))
        assert return_values[0].exists()
        return
    for number in range(10):
        outcomes = race([make_record(run_id=f"x{number}") for _ in range(6)], tmp_path)
        assert sorted(outcomes) == ["refused"] * 5 + ["written"]


def test_a_failed_record_gives_way_and_a_finished_one_never(tmp_path):
    for number in range(10):
        run_id = f"x{number}"
        path = write_record(tmp_path, make_record(run_id=run_id, failure=FAILURE))
        ok, bad = make_record(run_id=run_id), make_record(run_id=run_id, failure=FAILURE)
        outcomes = race([ok, bad, bad, ok, bad, bad], tmp_path)
        assert read_record(path).status == "ok"
        assert set(outcomes) <= {"written", "refused"}
        assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
