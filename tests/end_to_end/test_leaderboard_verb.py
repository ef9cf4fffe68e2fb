"""`bench leaderboard` as it is typed: smoke tests where they are asked for, JSON, and nothing written that was not named."""

import json
from functools import partial
from pathlib import Path

import command_line
import pytest
from record_factory import make_record

from leaderboard.records.store import write_record


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    write_record(tmp_path / "records", make_record("cnn"))
    write_record(tmp_path / "records", make_record("my-net", protocol="quick", smoke=True, wrong=123))
    monkeypatch.chdir(tmp_path)
    return partial(command_line.call, capsys)


def written() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"records"}


def test_the_board_says_what_it_leaves_out(call):
    code, said, errors = call("leaderboard")
    assert (code, errors) == (0, [])
    assert said.splitlines() == ["wrote LEADERBOARD.md", "1 smoke test not shown: bench leaderboard --smoke"]
    assert "my-net" not in Path("LEADERBOARD.md").read_text()


def test_smoke_tests_are_shown_on_the_screen_and_written_where_that_is_asked(call):
    code, said, errors = call("leaderboard", "--smoke")
    assert (code, errors, written()) == (0, [], set())
    assert (
        "| `my-net` | 12.30 | 1 of 6 |" in said
        and "Smoke test: it shows" in said
        and "`cnn`" not in said.split("## Published")[0]
    )
    code, told, _ = call("leaderboard", "--smoke", "--output", "smoke.md", "--folder", "page")
    assert (code, written()) == (0, {"smoke.md", "page"}) and told.startswith("wrote smoke.md and ")
    assert Path("smoke.md").read_text() == said and "my-net" in Path("page/leaderboard.html").read_text()
    assert call("leaderboard", "--smoke", "--output", "smoke.md", "--folder", "page", "--check")[0] == 0
    assert call("leaderboard", "--output", "smoke.md", "--check")[0] == 1


def test_json_is_one_document_and_writes_only_what_is_named(call):
    code, said, errors = call("leaderboard", "--json")
    assert (code, errors, written()) == (0, [], set())
    assert [row["model"] for row in json.loads(said)["sections"][0]["tables"][0]["rows"]] == ["cnn"]
    code, said, errors = call("leaderboard", "--json", "--smoke", "--output", "B.md")
    assert code == 0 and errors == ["wrote B.md"] and written() == {"B.md"}
    assert json.loads(said)["sections"][0]["protocol"] == "quick"


@pytest.mark.parametrize(("words", "says"), [(["--json"], "--json prints"), (["--smoke"], "--output FILE")])
def test_what_cannot_be_checked_is_one_line(call, words, says):
    code, said, errors = call("leaderboard", "--check", *words)
    assert (code, said, len(errors)) == (2, "", 1) and says in errors[0] and not written()
