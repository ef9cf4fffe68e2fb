"""The board as JSON: keys that stay, and the numbers that the other forms round."""

import json
from pathlib import Path

import pytest
from record_factory import make_record

from leaderboard.board.front import as_json
from leaderboard.board.front.as_json import board_json
from leaderboard.board.front.shown import shown_sections
from leaderboard.reading.collection import Source, collect

KEYS = {
    "about": "name repository latest_run version commit records smoke",
    "matrix": "protocol variants tasks done wanted rows",
    "cell": "table mean std n expected interval published",
    "section": "protocol smoke variant tables",
    "table": "id task digest rows comparisons runs failures",
    "row": "model paper mean std n expected interval failed rank parameters epoch_times published reproduced_split "
    "reproduced_pooled difference repeated disputed runs",
    "published": "mean std verified kind source",
    "run": "id realization status error file repeats",
    "comparison": "a b difference interval p p_holm n significant",
    "left_out": "smoke_tests altered unreadable contradictions",
}


def document(source: Source, *, smoke: bool = False) -> dict[str, object]:
    collection = collect(source)
    return json.loads(json.dumps(board_json(collection, shown_sections(collection, smoke)), allow_nan=False))  # type: ignore[no-any-return]


@pytest.fixture
def board() -> dict[str, object]:
    records = [
        make_record(name, realization=r, wrong=wrong + r) for name, wrong in (("cnn", 20), ("sicnn", 90)) for r in range(3)
    ]
    failed = make_record("ss-cnn", failure={"kind": "ValueError", "message": "no", "traceback_tail": []})
    smoke = make_record("cnn", protocol="quick", smoke=True)
    return document([*records, failed, smoke])


def test_keys_stay(board: dict[str, object]) -> None:
    """A program may rely on these: add keys, rename none."""
    found: dict[str, object] = {"about": board["about"], "matrix": board["matrix"], "left_out": board["left_out"]}
    (found["section"],) = board["sections"]  # type: ignore[misc]
    (found["table"],) = found["section"]["tables"]  # type: ignore[index]
    found["row"], *_ = found["table"]["rows"]  # type: ignore[index]
    found["run"], *_ = found["row"]["runs"]  # type: ignore[index]
    found["published"] = found["row"]["published"]  # type: ignore[index]
    (found["comparison"],) = found["table"]["comparisons"]  # type: ignore[index]
    found["cell"] = found["matrix"]["rows"][0]["cells"][0]  # type: ignore[index]
    assert {name: " ".join(value) for name, value in found.items()} == KEYS  # type: ignore[call-overload]
    assert as_json.__doc__ is not None
    for keys in KEYS.values():
        assert all(key in as_json.__doc__ for key in keys.split()), "the module says what each key is"


def test_numbers_are_those_of_the_runs(board: dict[str, object]) -> None:
    (table,) = board["sections"][0]["tables"]  # type: ignore[index]
    cnn, sicnn, failed = table["rows"]
    assert (cnn["model"], cnn["mean"], cnn["std"], cnn["n"], cnn["expected"]) == (
        "cnn",
        pytest.approx(2.1),
        pytest.approx(0.1),
        3,
        6,
    )
    assert cnn["interval"][0] < 2.1 < cnn["interval"][1] and (cnn["rank"], sicnn["rank"]) == (1, 2)
    assert cnn["published"]["mean"] == 2.56 and cnn["difference"] == pytest.approx(2.1 - 2.56)
    assert cnn["paper"]["url"].startswith("https://arxiv.org/abs/1910.11093")
    assert [run["error"] for run in cnn["runs"]] == [2.0, 2.1, 2.2]
    assert (failed["mean"], failed["n"], failed["failed"], failed["runs"][0]["status"]) == (None, 0, 1, "failed")
    assert table["comparisons"][0]["significant"] is True
    assert board["left_out"]["smoke_tests"] == 1  # type: ignore[index]
    assert (board["about"]["records"], board["about"]["smoke"]) == (7, False)  # type: ignore[index]


def test_of_nothing_there_is_a_document_too() -> None:
    empty = document([])
    assert (empty["matrix"], empty["sections"], empty["about"]["latest_run"]) == (None, [], None)  # type: ignore[index]


def test_smoke_tests_where_they_are_asked_for() -> None:
    records = [make_record("cnn"), make_record("my-net", protocol="quick", smoke=True)]
    shown = document(records, smoke=True)
    assert [section["protocol"] for section in shown["sections"]] == ["quick"]  # type: ignore[attr-defined]
    assert shown["about"]["smoke"] and shown["left_out"]["smoke_tests"] == 0  # type: ignore[index]


def test_the_committed_board_is_whole() -> None:
    root = Path(__file__).resolve().parents[3] / "records"
    shown = document(root)
    ids = [run["id"] for s in shown["sections"] for t in s["tables"] for row in t["rows"] for run in row["runs"]]  # type: ignore[attr-defined]
    assert len(ids) == len(set(ids)) > 40
    assert shown["matrix"]["rows"][0]["model"] == "cnn" and shown["matrix"]["wanted"] == 288  # type: ignore[index]
    files = [run["file"] for s in shown["sections"] for t in s["tables"] for row in t["rows"] for run in row["runs"]]  # type: ignore[attr-defined]
    assert all((root.parent / file).is_file() for file in files)
