"""The data frame: one row per run, with types that know what is missing."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from record_factory import START, make_record

import leaderboard
from leaderboard.records.store import write_record

COLUMNS = [
    "run_id", "status", "model", "task", "realization", "protocol", "protocol_digest", "smoke", "data_variant",
    "data_fingerprint", "test_error", "test_count", "best_epoch", "parameters", "train_seconds_per_epoch", "total_seconds",
    "peak_memory_bytes", "device", "hardware", "threads", "git_commit", "started", "finished", "schema_version",
    "alone", "execution_cuda_graph", "execution_compile", "execution_batch_split", "execution_channels_last",
    "execution_evaluation_batch", "execution_jobs",
]  # fmt: skip
FAILURE = {"kind": "ValueError", "message": "no", "traceback_tail": []}


def test_one_row_per_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path, make_record("cnn", wrong=21, seconds=(1.0, 9.0, 2.0)))
    write_record(tmp_path, make_record("sicnn", failure=FAILURE, software={"git_commit": None}))
    frame = leaderboard.load_records(str(tmp_path))
    assert list(frame.columns) == COLUMNS
    ok, failed = frame.iloc[0], frame.iloc[1]
    assert (ok["model"], ok["status"], ok["test_error"], ok["train_seconds_per_epoch"]) == ("cnn", "ok", 2.1, 2.0)
    assert ok["started"] == pd.Timestamp(START)
    assert (failed["model"], failed["status"]) == ("sicnn", "failed")
    assert failed[["test_error", "test_count", "parameters", "total_seconds", "git_commit"]].isna().all()
    assert capsys.readouterr().err == ""


def test_execution_sorts_and_is_missing_where_a_record_does_not_say(tmp_path: Path) -> None:
    write_record(tmp_path, make_record("cnn", execution={"cuda_graph": True, "evaluation_batch": 2000, "jobs": 6}))
    write_record(tmp_path, make_record("sicnn", hardware={"other_processes": None}))
    write_record(tmp_path, make_record("ss-cnn", failure=FAILURE, execution={}))
    frame = leaderboard.load_records(tmp_path).set_index("model").filter(regex="alone|execution")
    assert frame.loc["cnn"].tolist() == [False, True, False, 1, False, 2000, 6]
    assert frame.loc["sicnn"].isna().all()
    assert frame.loc["ss-cnn"].tolist() == [True, False, False, 1, False, 500, 1]
    assert frame.sort_values("execution_evaluation_batch").index.tolist() == ["ss-cnn", "cnn", "sicnn"]
    assert frame.groupby("execution_cuda_graph").size().to_dict() == {False: 1, True: 1}


def test_an_empty_folder_gives_the_same_columns_and_types(tmp_path: Path) -> None:
    empty = leaderboard.load_records(tmp_path)
    assert len(empty) == 0
    write_record(tmp_path, make_record())
    assert (empty.dtypes == leaderboard.load_records(tmp_path).dtypes).all()


def test_unreadable_files_and_copies_get_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_record(tmp_path / "a", make_record())
    (tmp_path / "b").mkdir()
    shutil.copy(path, tmp_path / "b" / "copy.json")
    (tmp_path / "b" / "half.json").write_text('{"run_id": "x')
    (tmp_path / "package.json").write_text('{"name": "web"}')
    assert len(leaderboard.load_records(tmp_path)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "half.json" in lines[0]
    assert "1 JSON file is not ours" in lines[1] and "package.json" in lines[1]
    assert "found 2 times" in lines[2]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(leaderboard.RecordError, match="nowhere"):
        leaderboard.load_records(tmp_path / "nowhere")
