"""What the board says about its own uncertainty: where, and no more than its records allow."""

from record_factory import make_record

from leaderboard.board.files import write_board
from leaderboard.board.markdown import build_markdown
from leaderboard.board.tables import build_sections
from leaderboard.board.uncertainty import EXPLANATION, ONCE, plain_explanation
from leaderboard.reading.collection import collect
from leaderboard.records.store import write_record


def several(model, errors, **options):
    return [make_record(model, realization=r, wrong=wrong, **options) for r, wrong in enumerate(errors)]


TIED = [*several("a", (20, 21, 19, 22)), *several("b", (21, 20, 20, 21)), *several("c", (90, 91, 88, 92))]


def test_once_is_said_to_be_once():
    assert ONCE in build_markdown([make_record()])
    assert EXPLANATION not in build_markdown([make_record()])
    smoke = build_markdown([make_record(protocol="quick", smoke=True)])
    assert ONCE not in smoke and EXPLANATION not in smoke


def test_intervals_come_with_what_they_mean_and_with_every_pair():
    board = build_markdown(TIED)
    assert EXPLANATION in board
    assert "<summary>3 pairs of models, 2 significantly different</summary>" in board
    listed = board.split("significantly different</summary>")[1].split("</details>")[0]
    pairs = {(line.split("`")[1], line.split("`")[3]) for line in listed.splitlines() if line.startswith("| `")}
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}
    assert listed.rindex("| `a` | `b` |") > listed.index("| `b` | `c` |")  # the smallest p first
    rows = {line.split("`")[1]: line.split("|") for line in board.splitlines() if line.startswith("| `") and "494,549" in line}
    assert {model: cells[5].strip() for model, cells in rows.items()} == {"a": "1", "b": "1", "c": "3"}


def test_the_page_says_it_too_in_plain_words(tmp_path):
    (said, limits) = plain_explanation(build_sections(collect(TIED).runs))
    assert "95 %" in said and "same 70,000 MNIST images" in limits
    assert not set("`[]") & set(said + limits)
    for record in TIED:
        write_record(tmp_path / "records", record)
    write_board(tmp_path / "records", tmp_path / "B.md", folder=tmp_path / "board")
    assert limits in (tmp_path / "board" / "leaderboard.html").read_text()
