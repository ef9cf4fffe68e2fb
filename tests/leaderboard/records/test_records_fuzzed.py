"""Whatever happens to a record's file, reading it gives a record or one line that says why not."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_factory import make_record

from leaderboard import RecordError
from leaderboard.board.markdown import build_markdown
from leaderboard.records.schema import Record
from leaderboard.records.store import read_record, write_record

VALID = make_record(wrong=5, test_count=100, execution={"cuda_graph": True}).model_dump(mode="json")
TEXT = json.dumps(VALID).encode()
FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def record_or_one_line(path: Path) -> Record | None:
    try:
        record = read_record(path)
    except RecordError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return None
    assert isinstance(record, Record)
    return record


def places(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))]


def put(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[place[0]] = put(copy[place[0]], place[1:], value)
    return copy


@FIXTURES
@given(place=st.sampled_from(places(VALID)), value=values)
def test_a_changed_value(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(put(VALID, place, value)))
    record = record_or_one_line(path)
    if record is not None:  # what can be read can be written, read again and shown
        other = Path(tempfile.mkdtemp(dir=tmp_path))
        assert read_record(write_record(other, record)) == record
        assert build_markdown([record]).encode()


@FIXTURES
@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.binary(max_size=3), st.integers(0, 4)), min_size=1, max_size=5))
def test_changed_bytes(tmp_path: Path, edits: list[tuple[int, bytes, int]]) -> None:
    content = TEXT
    for at, new, removed in edits:
        content = content[:at] + new + content[at + removed :]
    path = tmp_path / "x.json"
    path.write_bytes(content)
    record_or_one_line(path)


@FIXTURES
@given(st.integers(0, len(TEXT) - 1))
def test_every_truncation_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(TEXT[:length])
    with pytest.raises(RecordError, match="truncated"):
        read_record(path)


texts = st.text(max_size=60)  # surrogates included


@FIXTURES
@given(message=texts, kind=texts, command=texts, variant=texts, digest=texts, machine=texts)
def test_any_text_comes_back_and_breaks_no_table(
    tmp_path: Path, message: str, kind: str, command: str, variant: str, digest: str, machine: str
) -> None:
    failure = {"kind": kind, "message": message, "traceback_tail": [message]}
    options: dict[str, Any] = {"command": command, "variant": variant, "digest": digest, "hardware": {"name": machine}}
    failed, ok = (make_record(run_id=run_id, failure=f, **options) for run_id, f in (("a", failure), ("b", None)))
    assert read_record(write_record(Path(tempfile.mkdtemp(dir=tmp_path)), failed)) == failed
    board = build_markdown([failed, ok])
    ours = board[: board.rindex("## Published on these tasks, not measured here")]  # below it nothing is of records
    lines = ours.split("\n")
    columns = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert columns == [7] * 16 + [10] * 3 + [6] * 3 + [8] * 3  # the matrix of 14 models and 5 tasks; row, failure, run
    assert ours.splitlines() == lines[:-1]
    assert ours.count("<details>") == ours.count("</details>") == 3  # the sources, the failure, the run
