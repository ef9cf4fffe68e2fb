"""A model whose code has changed under its name: its rows are of the latest code alone, and the other runs are named."""

import re

import pytest
from record_factory import make_record

from leaderboard.board.markdown import build_markdown
from leaderboard.board.tables import build_sections
from leaderboard.reading.collection import collect

OLD, NEW, UNKNOWN = "a" * 64, "b" * 64, None


def record(source, realization=0, *, minute=1, model="my-net", run_id=None, **more):
    made = make_record(model, realization=realization, finished_after=60.0 * minute, run_id=run_id, **more)
    name = run_id or f"{made.run_id}-{(source or 'none')[:4]}"
    return made.model_copy(update={"source": source, "run_id": name})


def rows(records):
    (section,) = build_sections(collect(records).runs)
    return {row.model: row for table in section.tables for row in table.rows}


@pytest.mark.parametrize("before", [OLD, UNKNOWN])
def test_two_codes_of_one_model_are_neither_mixed_nor_two_realizations(before):
    records = [record(before, number, wrong=100) for number in range(3)] + [record(NEW, 0, wrong=20, minute=9)]
    row = rows(records)["my-net"]
    assert (row.summary.n, row.summary.mean) == (1, 2.0)


def test_the_latest_code_is_that_of_the_run_that_finished_last_whatever_became_of_it():
    failed = record(NEW, 1, minute=9, failure={"kind": "ValueError", "message": "no", "traceback_tail": []})
    row = rows([record(OLD, 0, minute=1), record(OLD, 1, minute=2), failed])["my-net"]
    assert row.summary is None
    back = record(OLD, 2, minute=10)  # the change was undone
    assert rows([record(OLD, 0), failed, back])["my-net"].summary.n == 2


def test_runs_of_older_code_are_named_on_the_board_and_the_code_stands_with_each_run():
    older, newer = record(OLD, 0), record(NEW, 0, minute=9)
    board = build_markdown([older, newer])
    (line,) = [line for line in board.splitlines() if line.startswith(f"- `{older.run_id}`: ")]
    assert re.search(r"of other code \(aaaaaaaaaa\) than the model.+s latest \(bbbbbbbbbb\)$", line)
    assert "model bbbbbbbbbb" in board


def test_models_tasks_and_recipes_have_each_their_own_latest_code():
    others = [
        record(OLD, model="other-net"),
        record(OLD, task="mnist-scale-56"),
        record(OLD, digest="d2", run_id="another-recipe"),
        record(OLD, protocol="short"),
    ]
    assert not any(run.altered for run in collect([*others, record(NEW, minute=9)]).runs)


def test_built_in_models_and_their_boards_are_as_before():
    records = [make_record("cnn", realization=number) for number in range(3)]
    assert not any(run.altered or "model" in run.code for run in collect(records).runs)
