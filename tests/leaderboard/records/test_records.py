"""Records as models and as files: what is possible, what is refused, and that nothing is lost on the way to disk."""

import errno
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError
from record_factory import START, changed, make_record

from leaderboard import RecordError
from leaderboard.reading.folders import read_all
from leaderboard.records.schema import Failure, Metrics, Record
from leaderboard.records.store import read_record, record_path, set_aside, write_record

FAILURE = {"kind": "RuntimeError", "message": "no luck", "traceback_tail": ["line 1", "line 2"]}


def one_line(error: pytest.ExceptionInfo[RecordError]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("failure", [None, FAILURE])
def test_round_trip(tmp_path: Path, failure: dict[str, object] | None) -> None:
    record = make_record("sesn-scalar@config=28", failure=failure, software={"git_commit": None, "cuda": None})
    path = write_record(tmp_path, record)
    assert path == record_path(tmp_path, record)
    assert path.relative_to(tmp_path).parts[:3] == ("paper", "mnist-scale-28", "sesn-scalar@config=28")
    assert read_record(path) == record
    assert read_all(tmp_path) == ([record], [])


def test_round_trip_with_and_without_execution(tmp_path: Path) -> None:
    record = make_record(execution={"cuda_graph": True, "evaluation_batch": 2000, "jobs": 6})
    path = write_record(tmp_path, record)
    assert read_record(path) == record
    content = json.loads(path.read_text())
    del content["execution"]  # as in records from before there was the field
    path.write_text(json.dumps(content))
    assert read_record(path) == changed(record, execution=None)


@pytest.mark.parametrize(
    "wrong",
    [{"jobs": 0}, {"batch_split": 0}, {"evaluation_batch": 0}, {"cuda_graph": None}, {"jobs": 1.5}, {"precision": "tf32"}],
)
def test_impossible_execution_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=f"execution.{next(iter(wrong))}"):
        make_record(execution=wrong)


def test_round_trip_keeps_what_json_changes_in_a_recipe(tmp_path: Path) -> None:
    record = make_record(recipe={"betas": (0.9, 0.999), "nested": {"é±": [1, None, True]}})
    assert read_record(write_record(tmp_path, record)) == record


def test_a_file_has_few_lines_and_no_temporary_file_stays(tmp_path: Path) -> None:
    path = write_record(tmp_path, make_record(wrong=500))
    assert len(path.read_text().splitlines()) < 100
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_times_are_kept_in_utc(tmp_path: Path) -> None:
    local = START.astimezone(timezone(timedelta(hours=5)))
    assert changed(make_record(), started=local).model_dump(mode="json")["started"] == "2026-01-02T03:04:05Z"
    with pytest.raises(ValidationError, match="timezone"):
        changed(make_record(), started=datetime(2026, 1, 1))
    with pytest.raises(ValidationError, match="1971"):
        changed(make_record(), started=datetime.min.replace(tzinfo=timezone(timedelta(hours=5))))


def test_an_ok_record_is_never_overwritten(tmp_path: Path) -> None:
    path = write_record(tmp_path, make_record(wrong=20))
    before = path.read_bytes()
    for other in (make_record(wrong=21), make_record(wrong=20), make_record(failure=FAILURE)):
        with pytest.raises(RecordError, match="never overwritten") as error:
            write_record(tmp_path, other)
        assert path.name in one_line(error)
        assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_failed_record_is_replaced(tmp_path: Path, status: str) -> None:
    write_record(tmp_path, changed(make_record(failure=FAILURE), status=status))
    better = make_record()
    assert read_record(write_record(tmp_path, better)) == better


def test_an_unreadable_file_is_not_overwritten_but_can_be_set_aside(tmp_path: Path) -> None:
    record = make_record()
    path = write_record(tmp_path, record)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match="truncated") as error:
        write_record(tmp_path, record)
    assert path.name in one_line(error)
    first = set_aside(path)
    assert first.name == f"{path.name}.unreadable"
    assert first.stat().st_size == 100
    write_record(tmp_path, record)
    second, third = set_aside(path), None
    write_record(tmp_path, record)
    third = set_aside(path)
    assert len({first, second, third}) == 3
    assert all(p.exists() for p in (first, second, third))
    assert read_all(tmp_path) == ([], [])
    with pytest.raises(RecordError, match="set aside"):
        set_aside(path)


@pytest.mark.parametrize("step", ["link", "fsync"])
@pytest.mark.parametrize("before", [None, FAILURE])
def test_a_write_that_breaks_off_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: dict[str, object] | None
) -> None:
    old = write_record(tmp_path, make_record(failure=before)).read_bytes() if before else None
    record = make_record()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(RecordError, match="No space left") as error:
        patch.setattr(os, step, full)
        patch.setattr(os, "replace", full)  # what is done where links are not to be had
        write_record(tmp_path, record)
    path = record_path(tmp_path, record)
    assert path.name in one_line(error)
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == ([(path.name, old)] if old else [])


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_record(tmp_path, make_record())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "paper").write_text("in the way")
    with pytest.raises(RecordError, match="could not be written") as error:
        write_record(tmp_path, make_record())
    assert str(tmp_path) in one_line(error)


HOSTILE = ["", ".", "..", "a/b", "../x", "a\\b", "a..b", ".hidden", "-rf", "a b", "a\n", "a\0", "é", "a:b", "x" * 201, "a|b"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["run_id", "model", "task", "protocol"])
def test_names_that_could_build_a_path_are_refused(name: str, field: str) -> None:
    record = make_record()
    value = {**record.protocol.model_dump(), "name": name} if field == "protocol" else name
    with pytest.raises(ValidationError):
        changed(record, **{field: value})


@pytest.mark.parametrize("name", ["sesn-scalar@config=28p", "mnist-scale-56+", "a", "9.1_x,y=2"])
def test_names_in_use_are_accepted(name: str) -> None:
    assert changed(make_record(), model=name, task=name, run_id=name).run_id == name


GOOD = make_record().metrics.model_dump() if make_record().metrics else {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wrong",
    [
        {"test_error": float("nan")},
        {"test_error": float("inf")},
        {"test_error": -0.1},
        {"test_error": 100.1},
        {"test_error": 2.1},  # 21 of 1000, with 20 answers listed
        {"test_count": 0},
        {"test_count": -5},
        {"test_count": 2000},
        {"test_count": 10**400},
        {"best_epoch": -1},
        {"validation_error_curve": [1.0, float("nan")]},
        {"validation_error_curve": [101.0]},
        {"train_loss_curve": [float("inf")]},
        {"wrong_answers": []},
        {"wrong_answers": [(5, 1)] * 20},
        {"wrong_answers": [(index + 990, 1) for index in range(20)]},
        {"wrong_answers": [(index, -1) for index in range(20)]},
        {"error_by_scale": [{"low": 0.3, "high": 0.4, "count": 5, "wrong": 6}]},
        {"error_by_scale": [{"low": 0.5, "high": 0.4, "count": 5, "wrong": 4}]},
        {"error_by_scale": [{"low": 0.3, "high": 0.4, "count": 600, "wrong": 4}] * 2},
        {"error_by_scale": [{"low": 0.3, "high": 0.4, "count": 100, "wrong": 11}] * 2},
        {"surprise": 1},
    ],
)
def test_impossible_metrics_are_refused(wrong: dict[str, object]) -> None:
    assert Metrics.model_validate(GOOD).test_error == 2.0
    with pytest.raises(ValidationError):
        Metrics.model_validate(GOOD | wrong)


def test_status_and_contents_go_together() -> None:
    ok, failed = make_record(), make_record(failure=FAILURE)
    for record, values in (
        (ok, {"status": "failed"}),
        (ok, {"metrics": None}),
        (ok, {"failure": FAILURE}),
        (ok, {"status": "diverged", "failure": FAILURE}),
        (failed, {"status": "ok"}),
        (failed, {"failure": None}),
    ):
        with pytest.raises(ValidationError, match="status"):
            changed(record, **values)
    assert changed(failed, status="diverged").status == "diverged"


@pytest.mark.parametrize("recipe", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {1: 2}])
def test_a_recipe_that_json_cannot_hold_is_refused(recipe: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_record(recipe=recipe)


def test_text_that_utf8_cannot_hold_survives(tmp_path: Path) -> None:
    failure = Failure(kind="OSError", message="no file caf\udce9.npy", traceback_tail=["caf\udce9"])
    path = write_record(tmp_path, make_record(failure=failure.model_dump(), command="bench run --plugin caf\udce9.py"))
    record = read_record(path)
    assert record.failure is not None
    assert record.failure.message == "no file caf\\udce9.npy"


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        make_record().status = "failed"  # type: ignore[misc]


def text_of(record: Record, **values: object) -> str:
    return json.dumps(record.model_dump(mode="json") | values)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "truncated"),
        (text_of(make_record())[:-1], "truncated"),
        (text_of(make_record())[:200], "truncated"),
        ("\x00" * 50, "truncated"),
        ("[" * 100_000, "truncated"),
        ("[1, 2]", "record"),
        ("null", "record"),
        (text_of(make_record(), schema_version=2), "schema version 2"),
        (text_of(make_record(), schema_version="new\nline", more=1), "schema version 'new"),
        (text_of(make_record(), schema_version=True), "schema_version"),
        (text_of(make_record(), unknown=1), "unknown"),
        (text_of(make_record(), **{"two\nlines": 1}), "two lines"),
        (text_of(make_record(), realization="0"), "realization"),
        (text_of(make_record(), run_id="../../etc/passwd"), "run_id"),
        (text_of(make_record()).replace('"test_error": 2.0', '"test_error": NaN'), "test_error"),
        (text_of(make_record()).replace('"epochs": 3', '"epochs": NaN'), "recipe"),
        (text_of(make_record()).replace('"schema_version": 1, ', ""), "schema_version"),
    ],
)
def test_a_file_that_is_no_record_is_reported_and_never_dropped(tmp_path: Path, content: str, reason: str) -> None:
    good = write_record(tmp_path, make_record())
    bad = (
        tmp_path / "copied" / "cnn_mnist-scale-28_r0_paper_0123456789.json"
    )  # a file called as ours are; of others see test_reading.py
    bad.parent.mkdir()
    bad.write_text(content)
    with pytest.raises(RecordError) as error:
        read_record(bad)
    assert reason in one_line(error)
    assert str(bad) in one_line(error)
    records, unreadable = read_all(tmp_path)
    assert records == [read_record(good)]
    assert [(item.path, item.name) for item in unreadable] == [(bad, f"copied/{bad.name}")]
    assert reason in unreadable[0].reason
    assert "\n" not in unreadable[0].reason


def test_bytes_that_are_no_text_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b'{"run_id": "\xff\xfe"}')
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "unmounted").symlink_to(tmp_path / "disk", target_is_directory=True)
    records, unreadable = read_all(tmp_path)
    assert records == []
    assert [item.name for item in unreadable] == ["bytes.json", "gone.json", "unmounted"]
    with pytest.raises(RecordError):
        read_record(tmp_path)


def test_reading_is_in_the_order_of_the_paths(tmp_path: Path) -> None:
    for realization in (3, 1, 2):
        write_record(tmp_path / f"machine{3 - realization}", make_record(realization=realization))
    assert [record.realization for record in read_all(tmp_path)[0]] == [3, 2, 1]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", write_record(tmp_path, make_record())):
        with pytest.raises(RecordError, match="no folder of records") as error:
            read_all(root)
        assert root.name in one_line(error)


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_record()
    write_record(tmp_path / "open", record)
    write_record(tmp_path / "closed", record)
    listing = os.scandir

    def refusing(folder: str) -> object:
        if str(folder).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    records, unreadable = read_all(tmp_path)
    assert records == [record]
    assert [(item.name, item.reason) for item in unreadable] == [("closed", "Permission denied")]
