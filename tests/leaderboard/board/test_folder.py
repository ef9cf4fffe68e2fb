"""The board's folder: the same bytes twice, every change noticed, hostile text harmless, leftovers of earlier boards gone."""

import csv
import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hostile import SCRIPT, hostile_records
from measurement_factory import make_equivariance, make_scale_sweep
from record_factory import make_record

from leaderboard.board.charts import figures
from leaderboard.board.charts.svg import in_page, is_current, is_pdf_of
from leaderboard.board.charts.table_charts import charts_of
from leaderboard.board.export import latex_escape, latex_table
from leaderboard.board.files import check_board, stale_files, write_board
from leaderboard.board.tables import build_sections
from leaderboard.reading.collection import collect
from leaderboard.records.measurement import write_measurement
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record

WITHOUT_TORCH = """
import sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)

sys.meta_path.insert(0, NoTorch())
from leaderboard.board.files import write_board
write_board(Path(sys.argv[1]), Path(sys.argv[2], "b.md"), folder=Path(sys.argv[2], "board"))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile") / "records"
    for record in hostile_records():
        write_record(root, record)
    for model in ("cnn", "sicnn", "ss-cnn"):
        write_measurement(root, make_equivariance(model))
        write_measurement(root, make_scale_sweep(model=model, name=f"sweep-{model}"))
    write_measurement(root, make_equivariance(run_id="x"))
    return root


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    folder = root.parent / "board"
    write_board(root, root.parent / "LEADERBOARD.md", folder=folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_builds_give_the_same_bytes(root: Path, folder: Path, tmp_path: Path) -> None:
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(root), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    first, second = contents(folder), contents(tmp_path / "board")
    assert first == second
    assert first["files.txt"].decode().split() == list(first)
    assert sum(name.endswith(".svg") for name in first) == sum(name.endswith(".pdf") for name in first) == 5


def test_every_change_is_noticed_without_drawing(
    root: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, copy = root.parent / "LEADERBOARD.md", tmp_path / "board"
    shutil.copytree(folder, copy)
    monkeypatch.setattr(figures, "draw", None)
    assert check_board(root, out, folder=copy)
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"2", b"3", 1) if b"2" in content else content + b" ")
        assert stale_files(root, out, folder=copy) == [path]
        path.unlink()
        assert stale_files(root, out, folder=copy) == [path]
        path.write_bytes(content)


def test_a_current_figure_is_kept_and_another_chart_is_not_current(root: Path) -> None:
    chart = next(c for c in charts_of(build_sections(collect(root).runs)[0].tables[0], "paper") if c.name == "errors")
    svg, pdf = figures.draw(chart)
    assert (svg, pdf) == figures.draw(chart)
    assert is_current(svg, chart)
    assert is_pdf_of(pdf, svg) and not is_pdf_of(pdf + b" ", svg) and not is_pdf_of(None, svg)
    assert in_page(b"<svg>" + svg + svg, chart) == svg
    assert not is_current(svg, replace(chart, title="Other"))
    assert not is_current(svg.replace(b"</svg>", b"<text>9.99</text></svg>"), chart)
    assert not is_current(None, chart)


def test_files_of_an_earlier_board_go_and_nothing_else(tmp_path: Path) -> None:
    root, out, folder = tmp_path / "records", tmp_path / "b.md", tmp_path / "board"
    write_record(root, make_record())
    old_ones = [write_record(root, make_record(model, protocol="old")) for model in ("cnn", "sicnn", "ss-cnn")]
    write_board(root, out, folder=folder)
    mine, outside = folder / "tables" / "mine.csv", tmp_path / "outside.csv"
    mine.write_text("mine")
    outside.write_text("outside")
    old = sorted(folder.rglob("old_*"))
    assert len(old) >= 4
    for path in old_ones:
        path.unlink()
    listed = folder / "files.txt"
    listed.write_text(listed.read_text() + "tables/../../outside.csv\nleaderboard.html\n")
    assert set(old) <= set(stale_files(root, out, folder=folder))
    write_board(root, out, folder=folder)
    assert not any(path.exists() for path in old)
    assert mine.exists()
    assert outside.exists()
    assert check_board(root, out, folder=folder)


def test_figures_are_well_formed_and_hold_no_link(folder: Path) -> None:
    for path in folder.rglob("*.svg"):
        text = path.read_text()
        ElementTree.fromstring(text)
        assert "<script" not in text
        assert not re.search(r"(?:href|src)=[\"'](?!#)", text), path
        pdf = path.with_suffix(".pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and b"/Type3" not in pdf and b"Date" not in pdf


def test_the_page_shows_the_figures_files_and_no_id_twice(folder: Path) -> None:
    page = (folder / "leaderboard.html").read_text()
    assert all(path.read_text() in page for path in folder.rglob("*.svg"))
    ids = re.findall(r"""<[^>]* id=["']([^"']*)""", page)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'="#(\w+)"|url\(#(\w+)\)', page)) <= {pair for i in ids for pair in ((i, ""), ("", i))}
    assert '<g class="mark" data-model="sicnn"><title>sicnn: 9.05 ± 0.07 %, n = 2' in page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_everything_and_hostile_text_stays_text(folder: Path) -> None:
    page = (folder / "leaderboard.html").read_text()
    tags = Tags()
    tags.feed(page)
    names = [tag for tag, _ in tags.open]
    assert names.count("script") == 1
    assert "img" not in names
    assert "iframe" not in names
    for tag, attributes in tags.open:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "src" not in attributes, (tag, attributes)
        link = attributes.get("href") or "data:"
        assert link.startswith(("data:", "#")) or (tag == "a" and link.startswith("https://")), (tag, attributes)
    assert SCRIPT in tags.text, "the failure's message must be readable"
    assert "\u202e" not in page
    assert "\x1b" not in page
    for record in hostile_records():
        assert record.run_id in tags.text
    assert "1 failed" in tags.text
    assert "; eval 500, 2 jobs; commit" in tags.text


def test_csv_is_read_back_and_no_cell_is_a_formula(folder: Path) -> None:
    (path,) = folder.glob("tables/paper_*28.csv")
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(path.read_text()))}
    assert float(rows["cnn"]["error_mean"]) == pytest.approx(2.05)
    assert rows["cnn"]["n"] == "2"
    assert rows["cnn"]["published_verified"] == "false"
    assert rows["cnn"]["hardware"] == f"{SCRIPT}, 2 threads"
    assert [rows[name]["alone"] for name in ("cnn", "sicnn")] == ["false", "true"]
    assert rows["cnn"]["execution"] == "plain"
    assert rows["ss-cnn"]["n_failed"] == "1"
    assert rows["ss-cnn"]["hardware"].startswith("'=HYPERLINK")
    (pairs,) = folder.glob("tables/paper_*_pairs.csv")
    (pair,) = csv.DictReader(io.StringIO(pairs.read_text()))
    assert (pair["a"], pair["b"], pair["n"]) == ("cnn", "sicnn", "2")
    assert float(pair["difference"]) == pytest.approx(-7.0)


@pytest.mark.parametrize("text", ["\\", "{}", "a_b & 50 % #1 $x^2$ ~", "±−–†‡…", "é", "漢", "'\"`|<>[", SCRIPT])
def test_latex_is_escaped(text: str) -> None:
    escaped = latex_escape(text)
    assert escaped.isascii()
    without = re.sub(
        r"\\[{}$&#_%]|\\[a-z]+\{\}|\$(\\pm|-|\\dagger|\\ddagger)\$|\{[\[\]]\}|\\text[a-z]+\{\}|\\dots\{\}", "", escaped
    )
    assert not set(without) & set("\\{}$&#_%^~"), escaped


def test_latex_says_each_rows_hardware_where_there_are_several() -> None:
    def table(*records: Record) -> str:
        (section,) = build_sections(collect(records).runs)
        return latex_table(section, section.tables[0], "x")

    cnn, graphed = make_record(), make_record("sicnn", execution={"cuda_graph": True, "jobs": 6})
    assert "Test GPU, graph" not in table(cnn)
    assert "Hardware" not in table(cnn)
    both = table(cnn, graphed)
    assert "Training time on Test GPU; Test GPU, graph." in both
    assert r"2.00 & Test GPU \\" in both
    assert r"2.00 $\ddagger$ & Test GPU, graph \\" in both


def test_latex_compiles(folder: Path, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here")
    tables = sorted(folder.glob("tables/*.tex"))
    inputs = "\n".join(f"\\input{{{path}}}" for path in tables)
    inputs += "\n".join(f"\\includegraphics{{{path}}}" for path in sorted(folder.glob("figures/*.pdf")))
    preamble = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx,textcomp}\\begin{document}\n"
    (tmp_path / "all.tex").write_text(f"{preamble}{inputs}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
