"""LaTeX tables for one column: what stands in them, what is bold, and that they fit."""

import re
import shutil
import subprocess

import pytest
from record_factory import make_record

from leaderboard.board.front.matrix import build_matrix
from leaderboard.board.front.names import named_tables
from leaderboard.board.latex.narrow import narrow_matrix, narrow_table
from leaderboard.board.published import load_published
from leaderboard.board.tables import build_sections
from leaderboard.reading.collection import collect

MNIST = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")
LONG = ("sesn-learned@learn_min_scale=True,mode=spacing", "sesn-basis@basis=fourier-bessel", "ss-cnn-multisize", "a_b")


def tables(records):
    named = named_tables(build_sections(collect(records).runs))
    return {name: narrow_table(section, table, name) for name, (section, table) in named.items()}, build_matrix(named)


def rows(latex):
    """The lines of the body as lists of cells."""
    body = latex.replace(r"\allowbreak{}", "").partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    return [line.removesuffix(" \\\\").split(" & ") for line in body.splitlines()]


def ranked():
    """Three models: one clearly best and one not significantly worse; the third is clearly worse."""
    errors = {"sesn-vector": (20, 22, 20, 21, 22, 20), "sesn-scalar": (21, 21, 21, 20, 22, 21), "cnn": (60, 64, 61, 63, 62, 60)}
    return [make_record(model, realization=i, wrong=wrong) for model, its in errors.items() for i, wrong in enumerate(its)]


def test_error_published_and_the_best_in_bold():
    narrow, _ = tables(ranked())
    (latex,) = narrow.values()
    body = {re.search(r"texttt\{([\w-]+)\}", name)[1]: (ours, published) for name, ours, published in rows(latex)}
    assert list(body) == ["sesn-vector", "sesn-scalar", "cnn"]
    assert body["sesn-vector"] == (r"\textbf{2.08}$_{\pm.10}$", r"2.08$_{\pm.09}$")
    assert body["sesn-scalar"] == (r"\textbf{2.10}$_{\pm.06}$", r"2.10$_{\pm.10}$")
    assert body["cnn"] == (r"6.17$_{\pm.16}$", r"2.56$_{\pm.04}^{\dagger}$")
    assert "Bold: all runs done, and no model significantly better" in latex
    assert "Raised: runs done" not in latex
    assert r"\label{tab:paper_10k-2k-50k_mnist-scale-28-narrow}".replace("_", "-") in latex


def test_who_lacks_runs_is_not_bold():
    records = [record for record in ranked() if (record.model, record.realization) != ("sesn-vector", 5)]
    narrow, _ = tables(records)
    body = {name: ours for name, ours, _ in rows(next(iter(narrow.values())))}
    assert body[r"\raggedright\texttt{sesn-vector}"] == r"2.10$_{\pm.10}^{5/6}$"
    assert body[r"\raggedright\texttt{sesn-scalar}"] == r"\textbf{2.10}$_{\pm.06}$"


def test_of_one_run_none_is_best_and_missing_runs_are_counted():
    narrow, matrix = tables([make_record(wrong=20)])
    (latex,) = narrow.values()
    assert rows(latex)[0][1] == "2.00$^{1/6}$"
    assert r"\textbf" not in latex and "Bold" not in latex
    assert "Raised: runs done" in latex
    assert rows(narrow_matrix(matrix, "matrix"))[0][1] == "2.00$^{1/6}$"


def test_matrix_has_what_is_measured_and_below_it_what_is_published():
    records = [*ranked(), *(make_record("cnn", "stl10+", i, wrong=110, variant="5k-8k") for i in range(6))]
    _, matrix = tables(records)
    latex = narrow_matrix(matrix, "matrix")
    assert r" & \multicolumn{1}{c}{mnist-scale} & \multicolumn{1}{c}{} \\" in latex
    assert r"\cmidrule(lr){2-2}" in latex
    assert r"Model & \multicolumn{1}{c}{28} & \multicolumn{1}{c}{stl10+} \\" in latex
    body = rows(latex)
    names = [rf"\raggedright\texttt{{{model}}}" for model in ("cnn", "sesn-scalar", "sesn-vector")]
    assert [cells[0] for cells in body] == [part for name in names for part in (name, r"\quad published")]
    assert body[0][1:] == [r"6.17$_{\pm.16}$", r"11.00$_{\pm.00}$"]  # alone there, and best of nothing
    assert body[1][1:] == [r"2.56$_{\pm.04}^{\dagger}$", r"11.48$^{\dagger}$"]
    assert body[2][1:] == [r"\textbf{2.10}$_{\pm.06}$", "--"]
    assert "sicnn" not in latex  # nothing of it was measured


@pytest.fixture(scope="module")
def everything():
    """Every model with a published number, and names as long as they come, on all five tasks."""
    models = list(dict.fromkeys([*(p.model for p in load_published() if p.kind == "paper"), *LONG]))
    records = []
    for place, model in enumerate(models):
        for task, wrong, variant in [*((task, 20, "10k-2k-50k") for task in MNIST), ("stl10+", 120, "5k-8k")]:
            some = range(2 + 4 * (place % 2))
            records += [make_record(model, task, i, wrong=wrong + place + i, variant=variant) for i in some]
    narrow, matrix = tables(records)
    return [*narrow.values(), narrow_matrix(matrix, "matrix")]


def test_everything_is_ascii_and_one_line_a_row(everything):
    for latex in everything:
        assert latex.isascii()
        assert all(line.endswith(r"\\") for line in latex.partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines())


def test_narrow_tables_fit_into_a_column(everything, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here")
    preamble = "\\documentclass[twocolumn]{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,textcomp}"
    text = "\\clearpage\n".join(everything)
    (tmp_path / "all.tex").write_text(f"{preamble}\n\\begin{{document}}\n{text}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    wide = [line for line in said.splitlines() if "Overfull" in line]
    assert not wide
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
