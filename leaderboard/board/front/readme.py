"""The README's table: one glance at the four MNIST-scale tasks, from one protocol on one data variant."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.board import markup
from leaderboard.board.front.matrix import Cell, Matrix, build_matrix
from leaderboard.board.front.names import named_tables
from leaderboard.board.front.shown import shown_sections
from leaderboard.board.markup import HOW_TO_BEGIN, NOTHING, SMOKE_BANNER, code
from leaderboard.board.tables import Section
from leaderboard.reading.collection import Source, collect

MNIST_SCALE_TASKS = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")


def top_rows(source: Source) -> str:
    """A compact table, models against the MNIST-scale tasks; error in percent, mean ± sample std, ours above the published.

    Taken from one protocol on one data variant: ``paper`` if it has results, else the one with most, and a smoke test,
    labelled as one, only when there is nothing else. Raises RecordError as ``build_markdown`` does.
    """
    return render_top(shown_sections(collect(source)))


def render_top(sections: Iterable[Section]) -> str:
    """``top_rows`` of sections built before."""
    matrix = build_matrix(named_tables(tuple(sections)), MNIST_SCALE_TASKS)
    if matrix is None:
        return f"There are no MNIST-scale results yet. {HOW_TO_BEGIN}\n"
    lines = [SMOKE_BANNER, ""] if matrix.smoke else []
    lines += [caption(matrix), ""]
    rows = [[code(model), *(matrix_cell(cell) for cell in cells)] for model, cells in matrix.rows]
    return "\n".join([*lines, *markup.table(["Model", *matrix.tasks], rows, matrix.tasks), ""])


def caption(matrix: Matrix, *, intervals: bool = False) -> str:
    """What stands in the matrix, with ``intervals`` or without, and how much of it is done."""
    of = f"protocol {code(matrix.protocol)}, data {', '.join(map(code, matrix.variants))}"
    parts = [f"Test error %, mean ± std over realizations; {of}: {matrix.done} of {matrix.wanted} runs are done."]
    if any(cell.published for cell in matrix.cells):
        own = "what was measured here, with the 95 % interval of the mean," if intervals else "what was measured here,"
        parts += [f"In bold {own} below it the published number."]
    if any(cell.published and not cell.published.verified for cell in matrix.cells):
        parts += ["† quoted from memory, not verified in a second source."]
    if matrix.recipes:
        chosen = ", ".join(f"{task}: {code(digest)}" for task, digest in matrix.recipes)
        parts += [f"Of several recipes under this name, the one with most results is shown ({chosen})."]
    return " ".join(parts)


def matrix_cell(cell: Cell, *, link: bool = False) -> str:
    """Ours above the published number; ``link``: ours leads to its table, and has its interval."""
    lines = [NOTHING]
    if cell.row and cell.row.summary:
        summary, interval = cell.row.summary, cell.row.interval
        ours = f"**{markup.mean_std(summary.mean, summary.std)}**"
        n = markup.count_of(summary, cell.row.expected)
        lines = [(f"[{ours}](#{cell.table})" if link else ours) + (f" ({n})" if "of" in n else "")]
        lines += [markup.interval(interval)] if link and interval else []
    return "<br>".join([*lines, *([cell.published.text] if cell.published else [])])
