"""What a reader meets first: the matrix, the README's block, date and version; and smoke tests, which he does not meet."""

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from measurement_factory import make_repeat
from record_factory import START, changed, make_record

from leaderboard.board.files import check_board, write_board
from leaderboard.board.front import about
from leaderboard.board.front.as_json import board_json
from leaderboard.board.front.matrix import Matrix, build_matrix
from leaderboard.board.front.names import named_tables
from leaderboard.board.front.readme import top_rows
from leaderboard.board.front.shown import shown_sections
from leaderboard.board.markdown import build_markdown
from leaderboard.board.markup import SMOKE_BANNER
from leaderboard.reading.collection import collect
from leaderboard.records.measurement import write_measurement
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record

ROOT = Path(__file__).resolve().parents[3]
FAILURE = {"kind": "ValueError", "message": "no", "traceback_tail": []}


def six(model: str = "cnn", errors: tuple[int, ...] = (20, 22, 24, 26, 28, 30), **options: object) -> list[Record]:
    return [make_record(model, realization=r, wrong=wrong, **options) for r, wrong in enumerate(errors)]  # type: ignore[arg-type]


def cells(text: str, model: str) -> list[str]:
    """The model's cells in the first table with such a row."""
    (line, *_) = [line for line in text.split("\n") if line.startswith(f"| `{model}` |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def matrix_of(records: list[Record]) -> Matrix | None:
    return build_matrix(named_tables(shown_sections(collect(records))))


def test_the_readmes_block_has_ours_above_the_published_numbers() -> None:
    text = top_rows(six() + six("my-net", task="mnist-scale-56+")[:2] + six(protocol="quick", smoke=True) + six(task="stl10+"))
    assert cells(text, "cnn") == [
        "**2.50 ± 0.37**<br>2.56 ± 0.04 †", "–<br>1.96 ± 0.07 †", "–<br>2.02 ± 0.07 †", "–<br>1.60 ± 0.09 †",
    ]  # fmt: skip
    assert cells(text, "my-net") == ["–", "–", "–", "**2.10 ± 0.14** (2 of 6)"]
    assert cells(text, "sesn-vector")[3] == "–<br>1.42 ± 0.07"
    # Ten models of the paper on four tasks, and a cell of my-net, six runs each; eight are done.
    assert "protocol `paper`, data `10k-2k-50k`: 8 of 246 runs are done." in text
    assert "† quoted from memory" in text
    assert "Smoke" not in text


def test_the_committed_readmes_block_is_narrow_and_says_how_much_is_done() -> None:
    lines = top_rows(ROOT / "records").split("\n")
    assert " of 240 runs are done" in lines[0]
    assert len([line for line in lines if line.startswith("| `")]) == 10
    assert max(len(cell) for line in lines for cell in line.split("|")) < 600 and len(lines[2].split("|")) == 7


def test_the_protocol_with_results_is_shown_and_paper_before_all() -> None:
    assert "protocol `long`" in top_rows([*six(protocol="long"), make_record("sicnn", protocol="a")])
    assert "protocol `paper`" in top_rows([*six(protocol="long"), make_record()])
    assert "protocol `long`" in top_rows([*six(protocol="long"), make_record(failure=FAILURE)])
    text = top_rows([*six(protocol="a", smoke=True), *six(protocol="long")[:1]])
    assert cells(text, "cnn")[0] == "**2.00** (1 of 6)<br>2.56 ± 0.04 †"
    assert "`sicnn`" not in text, "what the paper trained is missing under the paper's protocol only"


def test_recipes_and_data_are_never_mixed() -> None:
    text = top_rows(six(digest="aaa")[:2] + six(errors=(30,) * 6, digest="bbb"))
    assert cells(text, "cnn")[0].startswith("**3.00 ± 0.00**")
    assert "mnist-scale-28: `bbb`" in text
    other = six(variant="10k-2k-48k", errors=(50,) * 6)[:3] + six(variant="10k-2k-48k", task="mnist-scale-28+")[:1]
    matrix = matrix_of([*six(), *other, *six(task="stl10+", variant="5k-8k")])
    assert matrix is not None
    assert matrix.variants == ("10k-2k-50k", "5k-8k")
    assert [cell.done for cell in dict(matrix.rows)["cnn"]] == [6, 0, 0, 0, 6]


def test_the_matrix_counts_what_is_done_and_what_is_wanted() -> None:
    matrix = matrix_of([*six()[:2], make_record("sicnn", failure=FAILURE), *six("my-net", recipe={})])
    assert matrix is not None
    assert (matrix.done, matrix.wanted) == (2 + 6, 48 * 6 + 6)  # 40 + 8 published numbers; a recipe without a number of runs
    assert list(dict(matrix.rows))[:2] == ["cnn", "sicnn"] and matrix.rows[-1][0] == "my-net"
    own, failed = dict(matrix.rows)["cnn"][0], dict(matrix.rows)["sicnn"][0]
    assert (own.table, own.done, own.wanted) == ("paper_10k-2k-50k_mnist-scale-28", 2, 6)
    assert (failed.done, failed.wanted) == (0, 6)
    assert matrix_of([]) is matrix_of([make_record(failure=FAILURE)]) is None


def test_a_cell_of_the_board_leads_to_its_table() -> None:
    board = build_markdown([*six(), *six(digest="d2", task="mnist-scale-56")])
    name = "paper_10k-2k-50k_mnist-scale-28"
    assert cells(board, "cnn")[0] == f"[**2.50 ± 0.37**](#{name})<br>1.98 to 3.02<br>2.56 ± 0.04 †"
    assert board.index(f'<a id="{name}"></a>\n\n### mnist-scale-28\n') > board.index("## Protocol")


def test_names_of_tables_last_when_others_come_and_are_unique() -> None:
    before = set(named_tables(shown_sections(collect(six()))))
    records = [*six(), *six(protocol="Paper"), *six(task="mnist-scale-28+"), make_record(variant="a/b", run_id="ab")]
    names = list(named_tables(shown_sections(collect(records))))
    assert before < set(names)
    assert len({name.lower() for name in names}) == len(names) == 4
    two = named_tables(shown_sections(collect([*six(digest="aaa"), *six(digest="bbb")])))
    assert list(two) == [f"paper_10k-2k-50k_mnist-scale-28_{digest}" for digest in ("aaa", "bbb")]


def test_date_and_version_are_the_latest_runs() -> None:
    late = make_record("sicnn", finished_after=86_400 * 3, software={"scalebench": "9.8.7", "git_commit": "abcdef0123456789"})
    board = build_markdown([late, make_record()])
    assert f"Latest run: {(START + timedelta(days=3)).date()} (UTC), by equiscale 9.8.7, commit abcdef0." in board
    assert about.state(()) == ""
    unknown = build_markdown([make_record(software={"git_commit": None, "git_dirty": None})])
    assert "by equiscale 0.1.0." in unknown


def test_the_repository_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Repository"] == about.REPOSITORY
    licence = (ROOT / "LICENSE").read_text()
    assert f"({about.AUTHORS})"[5:-1] in licence and project["license"] in about.LICENCE


SMOKE = {"protocol": "quick", "smoke": True}


@pytest.mark.parametrize("own", [["my-net"], ["cnn", "my-net"]])
def test_where_all_runs_are_smoke_tests_they_are_shown_as_such(tmp_path: Path, own: list[str]) -> None:
    for model in own:
        write_record(tmp_path / "records", make_record(model, wrong=123, **SMOKE))  # type: ignore[arg-type]
    write_board(tmp_path / "records", tmp_path / "B.md", folder=tmp_path / "board")
    board, page = (tmp_path / "B.md").read_text(), (tmp_path / "board/leaderboard.html").read_text()
    assert board.index(SMOKE_BANNER) < board.index("| `my-net` |") and "| `my-net` | 12.30 | 1 of 6 |" in board
    assert "from 1 record;" in board or len(own) == 2
    assert "In grey" not in page and "in small print" not in page
    assert "Only smoke tests here" in page and "<b>my-net</b>" in page
    assert "2.56" not in board.split("## Published")[0] and "not shown" not in board
    assert not list((tmp_path / "board/figures").glob("*")) if (tmp_path / "board/figures").exists() else True
    assert SMOKE_BANNER in top_rows(tmp_path / "records")


def test_beside_other_runs_smoke_tests_are_counted_and_shown_where_asked_for(tmp_path: Path) -> None:
    root, out, folder = tmp_path / "records", tmp_path / "B.md", tmp_path / "board"
    write_record(root, make_record("cnn", wrong=20))
    for realization in range(2):
        write_record(root, make_record("my-net", realization=realization, wrong=123, **SMOKE))  # type: ignore[arg-type]
    write_board(root, out, folder=folder)
    texts = [out.read_text(), (folder / "leaderboard.html").read_text(), (folder / "files.txt").read_text()]
    assert not any("my-net" in text or "12.30" in text or "quick" in text for text in texts)
    assert "2 smoke tests not shown: `bench leaderboard --smoke` has them." in texts[0]
    assert "from 1 record;" in texts[0]
    write_board(root, out, folder=folder, smoke=True)
    assert "| `my-net` | 12.30 ± 0.00 | 2 of 6 |" in out.read_text()
    assert "`cnn`" not in out.read_text().split("## Published")[0] and "from 2 records;" in out.read_text()
    assert not check_board(root, out, folder=folder)
    assert "tables/quick_10k-2k-50k_mnist-scale-28.csv" in (folder / "files.txt").read_text()
    assert not (folder / "tables/paper_10k-2k-50k_mnist-scale-28.csv").exists(), "what an earlier board left is gone"


def test_a_record_is_linked_where_it_lies_in_the_repository(tmp_path: Path) -> None:
    record = changed(make_record("my-net@a=1"), run_id="r1")
    for name in ("records", "results"):
        write_record(tmp_path / name, record)
        write_board(tmp_path / name, tmp_path / "B.md", folder=tmp_path / name / "board")
    place = "paper/mnist-scale-28/my-net%40a%3D1/r1.json"
    assert f'href="{about.REPOSITORY}/blob/main/records/{place}"' in (tmp_path / "records/board/leaderboard.html").read_text()
    assert "r1.json" not in (tmp_path / "results/board/leaderboard.html").read_text()


def test_what_others_repeated_is_marked(tmp_path: Path) -> None:
    records = six()[:3]
    for record in records:
        write_record(tmp_path / "records", record)
    write_measurement(tmp_path / "records", make_repeat(records[0], by="Ada <b>"))
    write_measurement(tmp_path / "records", make_repeat(records[1], by="Bob", wrong=3, verdict="differs"))
    write_board(tmp_path / "records", tmp_path / "B.md", folder=tmp_path / "board")
    assert "| `cnn` | 2.20 ± 0.20 | 3 of 6 | 1 of 3 runs; 1 not agreed |" in (tmp_path / "B.md").read_text()
    page = (tmp_path / "board/leaderboard.html").read_text()
    assert "repeated by Ada &lt;b&gt; on Another GPU: error 2.000 %, within chance, 0 of 1,000 answers differ" in page
    assert '<span class="bad">not agreed</span> by Bob on Another GPU: error 0.300 %, differs' in page
    assert 'title="repeated by others">↻ 1</span>' in page
    collection = collect(tmp_path / "records")
    (row,) = board_json(collection, shown_sections(collection))["sections"][0]["tables"][0]["rows"]
    assert (row["repeated"], row["disputed"]) == (1, 1)
    assert [[repeat["agrees"] for repeat in run["repeats"]] for run in row["runs"]] == [[True], [False], []]
    assert "epeated" not in build_markdown(records).split("## Published")[0]
