"""Published numbers that stand in no row: where the board shows them, and that it shows each of them in one place."""

import csv
import io
import random
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile import SCRIPT
from record_factory import make_record

from leaderboard.board import published
from leaderboard.board.export import latex_published, latex_table, models_csv
from leaderboard.board.files import check_board, write_board
from leaderboard.board.markdown import build_markdown
from leaderboard.board.published import PublishedResult, load_published, published_parts
from leaderboard.board.tables import Section, build_sections, published_in
from leaderboard.reading.collection import collect
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record

NOT_MEASURED, ELSEWHERE = "Published on these tasks, not measured here", "Published elsewhere: other data or protocols"
TASKS = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+", "stl10+")
# Rows that published numbers might be taken for: all that have one, and names of methods whose numbers are of other data.
MODELS = sorted({p.model for p in load_published() if p.model} | {"invar-layer", "invar-pdes", "scdcfnet", "rst-cnn", "sesn"})


def sections_of(records: Iterable[Record]) -> tuple[Section, ...]:
    return build_sections(collect(list(records)).runs)


def everything() -> list[Record]:
    return [make_record(model, task) for task in TASKS for model in MODELS]


def list_of(board: str, title: str, name: str) -> str:
    """What is folded under a list's name."""
    part = board.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]
    return next(fold for fold in part.split("<details>") if f"<summary>{name}: " in fold).split("</details>")[0]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [make_record("disco", "mnist-scale-56"), make_record("my-net")],
        [make_record("disco", "mnist-scale-56", protocol="quick", smoke=True)],
        everything(),
        Path("records"),
    ],
    ids=["none", "disco", "smoke", "everything", "committed"],
)
def test_every_number_stands_in_one_place(records: list[Record] | Path) -> None:
    sections = build_sections(collect(records).runs)
    shown = published_in(sections)
    listed = [p for part in published_parts(shown) for numbers in part.lists for p in numbers.results]
    assert len(set(listed)) == len(listed)
    assert set(listed).isdisjoint(shown)
    assert {*listed, *shown} == set(load_published())


def test_a_row_has_numbers_of_its_own_task_and_model_only() -> None:
    sections = sections_of(everything())
    shown = published_in(sections)
    for table in (table for section in sections for table in section.tables):
        for row in table.rows:
            assert {(p.task, p.model) for p in row.results} <= {(table.task, row.model)}
            assert row.published is None or row.published.kind in ("paper", "other")
    assert {p for p in load_published() if p.model} == set(shown)
    left = published_parts(shown)
    assert [(part.title, {p.model for numbers in part.lists for p in numbers.results}) for part in left] == [
        (NOT_MEASURED, {None}), (ELSEWHERE, {None}),
    ]  # fmt: skip
    assert {numbers.name for numbers in left[0].lists} == {"stl10+"}  # methods that the suite has not


def test_numbers_from_elsewhere_are_in_no_table_of_ours_and_in_no_file_of_one() -> None:
    board = build_markdown(everything())
    theirs = [p for p in load_published() if p.task is None]
    assert len(theirs) == 111
    ours, lists = board.split(f"## {ELSEWHERE}\n")
    for p in theirs:
        fold = list_of(board, ELSEWHERE, p.dataset)
        row = next(line for line in fold.split(f"\n{p.setting}:\n")[1].split("\n") if line.startswith(f"| {p.method} |"))
        assert row.split(" | ")[1].strip(" |") == p.text
        assert p.source.replace("&", "&#38;").replace("_", "&#95;") in fold
        assert p.setting not in ours
    for p in (p for p in load_published() if p.task):
        assert p.setting not in [line.rstrip(":") for line in lists.split("\n")]
    for section in sections_of(everything()):
        for table in section.tables:
            for name in ("invar-layer", "invar-pdes", "scdcfnet", "rst-cnn", "sesn"):
                (row,) = [row for row in csv.DictReader(io.StringIO(models_csv(table))) if row["model"] == name]
                assert (row["published_mean"], row["published_verified"], row["difference"]) == ("", "", "")
            latex = latex_table(section, table, "x")
            assert not any(p.setting in latex for p in theirs)


def test_disco_is_found_before_it_is_measured_and_in_its_row_after() -> None:
    row = "| DISCO | `disco` | 1.52 ± 0.06 † | – | 1 |"
    before = build_markdown([make_record("cnn", "mnist-scale-56")])
    fold = list_of(before, NOT_MEASURED, "mnist-scale-56")
    assert row in fold
    assert "1. arXiv:2106.02733 (quoted from memory" in fold
    assert "| CNN |" not in fold  # it has a row
    after = build_markdown([make_record("cnn", "mnist-scale-56"), make_record("disco", "mnist-scale-56", wrong=18)])
    assert "| DISCO |" not in list_of(after, NOT_MEASURED, "mnist-scale-56")
    assert "| DISCO | `disco` | 1.35 ± 0.05 † |" in list_of(after, NOT_MEASURED, "mnist-scale-56+")
    (line,) = [line for line in after.split("\n") if line.startswith("| `disco` | 1.80 |")]
    assert "| 1.52 ± 0.06 † | +0.28 |" in line
    assert "another source: arXiv:2106.02733" in after


def test_an_options_number_is_its_own_rows() -> None:
    names = ["sesn-learned", "sesn-learned@mode=spacing", "sesn-learned@relu=True"]
    board = build_markdown([make_record(name, "mnist-scale-56+") for name in names]).partition("\n## ")[2]
    said = {name: next(line for line in board.split("\n") if line.startswith(f"| `{name}` |")) for name in names}
    assert "| 1.496 ± 0.081 | +0.50 |" in said["sesn-learned"]
    assert "| 1.501 ± 0.115 | +0.50 |" in said["sesn-learned@mode=spacing"]
    assert "± 0." not in said["sesn-learned@relu=True"]


def test_a_list_as_it_is_printed() -> None:
    assert (
        list_of(build_markdown([]), ELSEWHERE, "STL-10")
        == """
<summary>STL-10: 2 numbers</summary>

10 folds x 1000:

| Method | Error % | Parameters |
| --- | ---: | ---: |
| Harm WRN-16-8 progressive | 22.81 ± 1.02 | – |
| WRN-16-8 | 26.50 ± 0.87 | 10,961,370 |

Source:

1. harmonic-networks README

"""
    )
    fold = list_of(build_markdown([]), ELSEWHERE, "MNIST-scale")
    assert fold.index("28x28, no validation set, runs of Zhu et al. 2022:") < fold.index("\n28x28, no validation set:")
    assert fold.split("\n28x28, no validation set:\n")[1].startswith("""
| Method | Error % | Parameters | Source |
| --- | ---: | ---: | ---: |
| InvarPDEs-Net | 1.70 ± 0.06 | 484,330 | 2 |
| InvarLayer | 2.25 ± 0.05 | 485,991 | 2 |
| SE-CNN (Naderi et al. 2020) | 2.84 | – | 3 |

Sources:

1. Li et al. CVPR 2024 Table 2""")


def test_the_order_is_that_of_names_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    board = build_markdown([])
    names = re.findall(r"<summary>(.*): \d+ numbers", board)
    assert names == [
        *TASKS, "Fashion-scale", "MNIST-scale", "MNIST-scale (rahman-yeh)", "RS-MNIST", "STIR-MNIST (64x64)", "STL-10",
        "STL10-scale (48-97 px)",
    ]  # fmt: skip
    for part in published_parts([]):
        for _, results in (setting for numbers in part.lists for setting in numbers.settings):
            assert [(p.error_mean, p.method) for p in results] == sorted((p.error_mean, p.method) for p in results)
    every = load_published()
    settings = list(dict.fromkeys(p.setting for p in every))
    shuffled = sorted(random.Random(0).sample(every, len(every)), key=lambda p: settings.index(p.setting))
    monkeypatch.setattr(published, "_all", lambda: tuple(shuffled))
    assert build_markdown([]) == board


def test_the_csv_holds_them_all(tmp_path: Path) -> None:
    write_record(tmp_path / "records", make_record("sesn-scalar"))
    write_board(tmp_path / "records", tmp_path / "b.md", folder=tmp_path / "board")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "board/tables/published.csv").read_text())))
    bools = {"true": True, "false": False}
    read = [
        PublishedResult(
            **{key: row[key] or None for key in ("dataset", "setting", "method", "source", "task", "model", "kind")},  # type: ignore[arg-type]
            error_mean=float(row["error_mean"]),
            error_std=float(row["error_std"]) if row["error_std"] else None,
            params=int(row["params"]) if row["params"] else None,
            verified=bools[row["verified"]],
            params_verified=bools[row["params_verified"]],
        )
        for row in rows
    ]
    assert read == load_published()
    assert check_board(tmp_path / "records", tmp_path / "b.md", folder=tmp_path / "board")


def test_latex_has_a_table_for_each_list() -> None:
    text = latex_published(published_parts([]))
    assert text.isascii()
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert len(set(labels)) == len(labels) == 12
    stir = text.split(r"\label{tab:published-STIR-MNIST--64x64-}")[1].split(r"\end{table}")[0]
    assert stir.count(r" $\pm$ ") == 44
    assert r"\multicolumn{2}{l}{\emph{train digits of 17-32 px, test 33-64 px}} \\" in stir
    assert r"DISCO & 22.10 $\pm$ 2.15 \\" in stir
    assert r"{\footnotesize 1: github.com/taltstidl" in stir
    assert r"$\dagger$ Quoted" not in stir
    task = text.split(r"\label{tab:published-mnist-scale-56}")[1].split(r"\end{table}")[0]
    assert r"DISCO & \texttt{disco} & 1.52 $\pm$ 0.06 $\dagger$ & -- & 1 \\" in task
    assert r"$\dagger$ Quoted from memory" in task


class Nesting(HTMLParser):
    """Raises where an element is closed that is not the innermost open one."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.closed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()
        self.closed.append(tag)


def test_the_page_is_well_formed_and_hostile_text_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = load_published()[0].model_copy(update={
        "dataset": f"a|{SCRIPT}", "setting": f"\\input{{x}}</summary>{SCRIPT}", "method": f"=1+`{SCRIPT}`_x_", "task": None,
        "model": None, "source": f"[x](javascript:1) <img src=x onerror=1> {SCRIPT}", "kind": "other",
    })  # fmt: skip
    monkeypatch.setattr(published, "_all", lambda: (*load(), hostile))
    write_record(tmp_path / "records", make_record("sesn-scalar"))
    write_board(tmp_path / "records", tmp_path / "b.md", folder=tmp_path / "board")
    page = (tmp_path / "board/leaderboard.html").read_text()
    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    assert nesting.closed.count("script") == 1
    assert nesting.closed.count("caption") > 20
    assert "<img" not in page
    board = (tmp_path / "b.md").read_text()
    lists = board.split(f"## {ELSEWHERE}")[1]
    assert "<script" not in lists
    assert "<img" not in lists
    assert "[x](" not in lists
    assert len(re.findall(r"^\|.*onerror|^\| =1", lists, re.MULTILINE)) == 1
    assert SCRIPT.replace("<", "&#60;").replace(">", "&#62;") in lists
    row = next(
        r for r in csv.DictReader(io.StringIO((tmp_path / "board/tables/published.csv").read_text())) if "=1" in r["method"]
    )
    assert row["method"].startswith("'=1")
    assert r"\input" not in (tmp_path / "board/tables/published.tex").read_text()


load = published._all
