"""A file is ours by its content, wherever it lies; reading writes nothing, and what is not ours stands in nobody's way."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurement_factory import make_equivariance, make_scale_sweep
from record_factory import make_record

from leaderboard.board.files import write_board
from leaderboard.reading.collection import collect
from leaderboard.reading.folders import find_files, read_all, read_measurements
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.file_kind import RUN, kind_of
from leaderboard.records.measurement import write_measurement
from leaderboard.records.serialization import to_json
from leaderboard.records.store import read_record, write_record
from leaderboard.records.timing import Timing

OURS = "cnn_mnist-scale-28_r0_paper_0123456789.json"  # called as the record of a run is
TEXT = to_json(make_record())


def seen(root: Path) -> dict[str, object]:
    """Every path below a folder with its bytes, or where it links to."""
    return {
        path.relative_to(root).as_posix(): path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in root.rglob("*")
    }


STRANGERS = {
    "package.json": '{"name": "web", "version": "1.0.0"}',
    "tsconfig.json": '{ // with comments\n "strict": true }',
    "metrics.json": "[1, 2, 3]",
    "null.json": "null",
    "empty.json": "",
    "zeros.json": "\x00" * 50,
    "deep.json": "[" * 100_000,
    "schema.json": '{"schema_version": "1.4.0", "id": "OSV-1"}',
    "job.json": '{"kind": "Job", "schema_version": 3, "metadata": {}}',
    "wandb.json": '{"run_id": "3f2a", "status": "FINISHED", "lr": 0.1}',
    "coco.json": '{"images": [{"id": 1}], "annotations": []}',
    "note.ipynb.json": '{"cells": [], "nbformat": 4}',
}


def test_what_is_not_ours_is_counted_and_left_alone(tmp_path: Path) -> None:
    write_record(tmp_path, make_record())
    write_measurement(tmp_path, make_equivariance())
    for number, (name, text) in enumerate(STRANGERS.items()):
        place = tmp_path / f"tool{number % 3}"
        place.mkdir(exist_ok=True)
        (place / name).write_text(text)
    before = seen(tmp_path)
    collection = collect(tmp_path)
    assert (len(collection.runs), len(collection.equivariance), collection.unreadable) == (1, 1, ())
    assert sorted(name.split("/")[1] for name in collection.foreign) == sorted(STRANGERS)
    (line,) = collection.warnings
    assert line.startswith(f"{len(STRANGERS)} JSON files are not ours and left alone, e.g. tool0/")
    assert seen(tmp_path) == before


@pytest.mark.parametrize("folder", [".vscode", ".ipynb_checkpoints", ".checkpoints"])
def test_hidden_folders_are_not_looked_into(tmp_path: Path, folder: str) -> None:
    write_record(tmp_path / folder, make_record())
    (tmp_path / "._half.json").write_text(TEXT[:100])
    collection = collect(tmp_path)
    assert (collection.runs, collection.unreadable, collection.foreign) == ((), (), ())


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:300],  # names our keys
        TEXT.replace('"realization": 0', '"realization": "0"'),
        TEXT.replace(' "schema_version": 1,\n', ""),
        json.dumps({key: value for key, value in json.loads(TEXT).items() if key != "run_id"}),
        json.dumps({"schema_version": 2, "run_id": "x", "all": "else", "is": "new"}),
        json.dumps(dict(sorted(json.loads(TEXT).items()), status="perfect")),
    ],
)
def test_a_damaged_record_is_ours_whatever_it_is_called(tmp_path: Path, text: str) -> None:
    (tmp_path / "renamed.json").write_text(text)
    collection = collect(tmp_path)
    assert [bad.name for bad in collection.unreadable] == ["renamed.json"]
    assert collection.foreign == ()


@pytest.mark.parametrize("text", ["", "{", "null", "\x00" * 9, "[]", "{}"])
def test_what_stands_where_a_record_is_expected_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / OURS).write_text(text)
    place = tmp_path / "laptop" / "timings" / "mnist-scale-28" / "cnn"
    place.mkdir(parents=True)
    (place / "a-gpu_float32.json").write_text(text)
    assert [bad.name for bad in collect(tmp_path).unreadable] == [OURS]
    assert read_measurements(tmp_path, Equivariance) == ([], [])
    assert [bad.path.parent for bad in read_measurements(tmp_path, Timing)[1]] == [place]


@given(st.dictionaries(st.sampled_from([*sorted(json.loads(TEXT)), "a", "b", "kind"]), st.none() | st.text(), max_size=9))
def test_a_few_of_our_keys_do_not_make_a_file_ours(data: dict[str, object]) -> None:
    content = json.dumps(data).encode()
    expected = RUN if {"schema_version", "run_id"} <= data.keys() and "kind" not in data else None
    assert kind_of(content, Path("some/other/file.json")) == expected
    assert kind_of(content, Path("some") / OURS) == RUN


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-8"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_of_other_editors_are_read(tmp_path: Path, encoding: str, newline: str) -> None:
    path = write_record(tmp_path, make_record())
    measured = write_measurement(tmp_path, make_equivariance())
    for file in (path, measured):
        file.write_bytes(file.read_text().replace("\n", newline).encode(encoding))
    collection = collect(tmp_path)
    assert (len(collection.runs), len(collection.equivariance)) == (1, 1)
    assert read_record(path) == make_record()


def test_keys_in_any_order_are_read(tmp_path: Path) -> None:
    for path in (write_record(tmp_path, make_record()), write_measurement(tmp_path, make_equivariance())):
        path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=4))
    collection = collect(tmp_path)
    assert (len(collection.runs), len(collection.equivariance)) == (1, 1)


@pytest.mark.parametrize("place", [".", "laptop", "laptop/results", "a/b/c/d"])
def test_measurements_are_used_wherever_they_were_copied_to(tmp_path: Path, place: str) -> None:
    write_measurement(tmp_path / place, make_equivariance())
    write_measurement(tmp_path / place, make_scale_sweep())
    write_record(tmp_path / place, make_record())
    collection = collect(tmp_path)
    assert [len(c) for c in (collection.runs, collection.equivariance, collection.scale_sweeps)] == [1, 1, 1]
    assert collection.unreadable == collection.foreign == ()
    assert read_measurements(tmp_path, Equivariance)[0] == [make_equivariance()]


def test_a_folder_named_as_a_kind_may_hold_runs_and_any_folder_measurements(tmp_path: Path) -> None:
    record = write_record(tmp_path, make_record())
    (tmp_path / "timings").mkdir()
    record.rename(tmp_path / "timings" / "x.json")
    measured = write_measurement(tmp_path, make_equivariance())
    measured.rename(tmp_path / "e.json")
    collection = collect(tmp_path)
    assert (len(collection.runs), len(collection.equivariance)) == (1, 1)


def test_links_are_followed_and_each_file_is_found_once(tmp_path: Path) -> None:
    root, disk = tmp_path / "results", tmp_path / "disk"
    own = write_record(root, make_record()).relative_to(root).as_posix()
    moved = write_record(disk, make_record(realization=1))
    (root / "a-first").symlink_to(root / "paper")  # the same folder, by a name that comes before its own
    (root / "linked").symlink_to(Path("..") / "disk")
    (root / "again").symlink_to(disk)
    (root / "loop").symlink_to(".")
    (root / "up").symlink_to("..")
    (disk / "back").symlink_to(root)
    (root / "file.json").symlink_to(moved)
    os.link(moved, root / "hard.json")
    records, unreadable = read_all(root)
    assert sorted(record.realization for record in records) == [0, 1]
    assert unreadable == []
    assert collect([root, disk, root]).notes == ()
    (tmp_path / "outside.json").write_text("{}")
    assert [path.relative_to(root).as_posix() for path in find_files([root])] == ["hard.json", own], "by its own name"


def test_a_pipe_among_the_records_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    write_record(tmp_path, make_record())
    assert len(collect(tmp_path).runs) == 1


def test_a_newer_schema_says_which_version_reads_it(tmp_path: Path) -> None:
    path = write_record(tmp_path, make_record(software={"scalebench": "0.9.0"}))
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    (bad,) = collect(tmp_path).unreadable
    assert bad.newer and bad.reason == "schema version 2; this equiscale reads 1, use equiscale 0.9.0 or newer"
    (line,) = collect(tmp_path).warnings
    assert "repeat its run" not in line
    path.write_text(path.read_text()[:200])
    (line,) = collect(tmp_path).warnings
    assert "repeat its run" in line


def test_reading_and_building_write_nothing_into_the_records(tmp_path: Path) -> None:
    root = tmp_path / "records"
    path = write_record(root, make_record())
    (root / OURS).write_text(TEXT[:500])
    newer = root / "newer.json"
    newer.write_text(TEXT.replace('"schema_version": 1', '"schema_version": 2'))
    (root / "web.json").write_text("{}")
    before = seen(root)
    write_board(root, tmp_path / "B.md", folder=tmp_path / "board")
    assert seen(root) == before
    board = (tmp_path / "B.md").read_text()
    assert path.stem in board and f"`{OURS}`: truncated" in board and "`newer.json`: schema version 2" in board
    assert "web.json" not in board
