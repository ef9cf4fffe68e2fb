"""The matrix of models and tasks in Markdown, for the board and, narrower, for the README."""

from __future__ import annotations

from leaderboard.board import markup
from leaderboard.board.front.matrix import Cell, Matrix
from leaderboard.board.markup import NOTHING, code


def matrix_lines(matrix: Matrix, *, full: bool = False) -> list[str]:
    """A caption and the table, ours above the published number; ``full``: ours leads to its table and has its interval."""
    rows = [[code(model), *(_cell(cell, full=full) for cell in cells)] for model, cells in matrix.rows]
    return [_caption(matrix, full=full), "", *markup.table(["Model", *matrix.tasks], rows, matrix.tasks)]


def _caption(matrix: Matrix, *, full: bool) -> str:
    """What stands in the matrix, and how much of it is done."""
    of = f"protocol {code(matrix.protocol)}, data {', '.join(map(code, matrix.variants))}"
    parts = [f"Test error %, mean ± std over realizations; {of}: {matrix.done} of {matrix.wanted} runs are done."]
    if any(cell.published for cell in matrix.cells):
        own = "what was measured here, with the 95 % interval of the mean," if full else "what was measured here,"
        parts += [f"In bold {own} below it the published number."]
    if any(cell.published and not cell.published.verified for cell in matrix.cells):
        parts += ["† quoted from memory, not verified in a second source."]
    if matrix.recipes:
        chosen = ", ".join(f"{task}: {code(digest)}" for task, digest in matrix.recipes)
        parts += [f"Of several recipes under this name, the one with most results is shown ({chosen})."]
    return " ".join(parts)


def _cell(cell: Cell, *, full: bool) -> str:
    """Ours above the published number."""
    lines = [NOTHING]
    if cell.row and cell.row.summary:
        summary, interval = cell.row.summary, cell.row.interval
        ours = f"**{markup.mean_std(summary.mean, summary.std)}**"
        n = markup.count_of(summary, cell.row.expected)
        lines = [(f"[{ours}](#{cell.table})" if full else ours) + (f" ({n})" if "of" in n else "")]
        lines += [markup.interval(interval)] if full and interval else []
    return "<br>".join([*lines, *([cell.published.text] if cell.published else [])])
