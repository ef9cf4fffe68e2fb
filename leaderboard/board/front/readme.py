"""The README's table: one glance at the four MNIST-scale tasks, from one protocol on one data variant."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.board.front.matrix import build_matrix
from leaderboard.board.front.matrix_text import matrix_lines
from leaderboard.board.front.names import named_tables
from leaderboard.board.front.shown import shown_sections
from leaderboard.board.markup import HOW_TO_BEGIN, SMOKE_BANNER
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
    return "\n".join([*lines, *matrix_lines(matrix), ""])
