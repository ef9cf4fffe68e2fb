"""Copies of one run: they may differ in time and machine; where they differ in their answers, neither wins silently."""

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from measurement_factory import make_equivariance, make_scale_sweep
from record_factory import START, changed, make_record

import leaderboard
from leaderboard import RecordError
from leaderboard.board.export import models_csv
from leaderboard.board.files import write_board
from leaderboard.board.markdown import build_markdown
from leaderboard.board.tables import build_sections
from leaderboard.reading.collection import collect
from leaderboard.reading.copies import choose_record
from leaderboard.reading.folders import Loaded, read_each
from leaderboard.records.file_kind import RUN
from leaderboard.records.measurement import write_measurement
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record

FAILURE = {"kind": "RuntimeError", "message": "no luck", "traceback_tail": []}
FIRST = make_record()
ID = FIRST.run_id


def answering(record: Record, **metrics: Any) -> Record:
    assert record.metrics is not None
    return changed(record, metrics={**record.metrics.model_dump(), **metrics})


def other_answers(record: Record) -> list[tuple[int, int]]:
    assert record.metrics is not None
    (index, answer), *rest = record.metrics.wrong_answers
    return [(index, (answer + 1) % 10), *rest]


DIFFERENT = {
    "another error": make_record(wrong=21, run_id=ID),
    "as many, another answer": answering(FIRST, wrong_answers=other_answers(FIRST)),
    "as many, other images": answering(FIRST, wrong_answers=[(index, 1) for index in range(20)]),
    "other sizes": answering(FIRST, error_by_scale=[{"low": 0.3, "high": 1.0, "count": 1000, "wrong": 19}]),
}
AGREEING = {
    "the same": FIRST,
    "later": make_record(finished_after=99.0),
    "elsewhere": make_record(hardware={"name": "Other GPU"}, software={"torch": "2.12.0"}, seconds=(9.0,)),
    "in another order": answering(FIRST, wrong_answers=FIRST.metrics.wrong_answers[::-1]),  # type: ignore[union-attr]
    "another curve": answering(FIRST, train_loss_curve=[0.5, 0.4, 0.2999], best_epoch=1),
    "failed": make_record(failure=FAILURE),
    "diverged": changed(make_record(failure=FAILURE), status="diverged"),
}


@pytest.mark.parametrize("other", DIFFERENT)
def test_copies_that_differ_are_in_no_mean_and_named_everywhere(tmp_path: Path, other: str) -> None:
    write_record(tmp_path, FIRST)
    write_record(tmp_path / "laptop", DIFFERENT[other])
    write_record(tmp_path, make_record(realization=1, wrong=30))
    collection = collect(tmp_path)
    (note,) = collection.contradictions
    assert note in collection.notes and note in collection.warnings
    assert f"run {ID} was found 2 times and its copies differ: 2.000 % of 1000 images" in note
    for where in ("", "laptop/"):
        assert f" {where}paper/mnist-scale-28/cnn/{ID}.json" in note
    board = build_markdown(tmp_path)
    (row,) = [line for line in board.partition("\n## ")[2].splitlines() if line.startswith("| `cnn` |")]
    assert "| 3.00 | 1 of 6 |" in row
    assert "<summary>1 run without a result</summary>" in board and f"| `{ID}` | contradictory |" in board
    (found,) = csv.DictReader(io.StringIO(models_csv(build_sections(collection.runs)[0].tables[0])))
    assert (found["error_mean"], found["n"], found["n_failed"]) == ("3", "1", "1")
    write_board(tmp_path, tmp_path / "B.md", folder=tmp_path / "board")
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    assert '<span class="bad">contradictory</span> contradiction: its copies differ: 2.000 %' in page


@pytest.mark.parametrize("other", AGREEING)
def test_copies_that_agree_count_once(tmp_path: Path, other: str) -> None:
    write_record(tmp_path, FIRST)
    write_record(tmp_path / "laptop", AGREEING[other])
    collection = collect(tmp_path)
    assert [(run.status, run.test_error, run.finished) for run in collection.runs] == [("ok", 2.0, FIRST.finished)]
    assert collection.contradictions == ()
    assert len(collection.notes) == 1 and "was found 2 times; used: ok" in collection.notes[0]


def test_the_order_of_copies_changes_nothing() -> None:
    copies = [FIRST, AGREEING["later"], AGREEING["failed"], DIFFERENT["another error"], make_record(realization=1)]
    boards = {build_markdown(order) for order in itertools.permutations(copies)}
    assert len(boards) == 1
    assert "2.100 % of 1000 images" in boards.pop()


def test_the_data_frame_has_no_error_where_copies_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path / "a", FIRST)
    write_record(tmp_path / "b", DIFFERENT["another error"])
    frame = leaderboard.load_records([tmp_path / "a", tmp_path / "b"])
    assert frame["status"].tolist() == ["contradictory"] and frame["test_error"].isna().all()
    assert f"{tmp_path}/a/paper" in capsys.readouterr().err


def test_one_record_of_several_copies(tmp_path: Path) -> None:
    for name, record in (("a", AGREEING["later"]), ("b", FIRST), ("c", AGREEING["failed"])):
        write_record(tmp_path / name, record)

    def copies() -> list[Loaded[Record]]:
        return [found for found in read_each([tmp_path], {RUN: Record}) if isinstance(found, Loaded)]

    assert choose_record(copies()) == FIRST
    write_record(tmp_path / "d", DIFFERENT["another error"])
    with pytest.raises(RecordError, match=r"its copies differ: 2.000 % .* in a/.*; 2.100 % .* in d/") as error:
        choose_record(copies())
    assert "\n" not in str(error.value)


def test_copies_of_a_measurement_count_once_and_must_agree(tmp_path: Path) -> None:
    later = START.replace(year=2027)
    for item in (make_equivariance(), make_scale_sweep()):
        write_measurement(tmp_path, item)
        write_measurement(tmp_path / "laptop", item.model_copy(update={"measured": later}))
    collection = collect(tmp_path)
    assert (collection.equivariance, collection.scale_sweeps) == ((make_equivariance(),), (make_scale_sweep(),))
    assert len(collection.notes) == 2 and collection.contradictions == ()
    write_measurement(tmp_path / "desk", make_scale_sweep(own_sizes_wrong=31))
    collection = collect(tmp_path)
    assert collection.scale_sweeps == ()
    (note,) = collection.contradictions
    assert "was found 3 times and its copies differ: 30 wrong of 1000" in note and "desk/generalisation/" in note
