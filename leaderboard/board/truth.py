"""Three columns of truth: what the paper printed, what a reproduction of it found, and how far ours is from the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board.columns import gap, published
from leaderboard.board.markup import NOTHING
from leaderboard.board.published import PublishedResult
from leaderboard.board.tables import Row

HEADER = ("Published % (mean ± std)", "TU Delft % as printed; split", "Ours − published", "Sources")
RIGHT = HEADER[:3]
REPRODUCTION = (
    "TU Delft: a student reproduction (Lukacs and Petrescu). Its table pools the runs with and without '+' of each model by "
    "mistake (as printed); the second number is from its list of raw runs, with the two apart (split)."
)
UNCHECKED = "† not verified: this number was quoted from memory and not read in a second, independent source."


def cells(row: Row, sources: Sequence[str]) -> list[str]:
    """The cells of one row under ``HEADER``; ``sources`` are numbered from 1."""
    numbers = sorted(sources.index(source_of(result)) + 1 for result in _results(row))
    return [
        published(row.published),
        f"{published(row.pooled)}; {published(row.split)}" if row.pooled or row.split else NOTHING,
        gap(row),
        " ".join(f"[{number}]" for number in numbers) or NOTHING,
    ]


def sources_of(rows: Sequence[Row]) -> list[str]:
    """Where the rows' numbers come from, each once."""
    return sorted({source_of(result) for row in rows for result in _results(row)})


def source_of(result: PublishedResult) -> str:
    """The source, and what kind of number it is."""
    return f"{result.label}: {result.source}"


def footnotes(rows: Sequence[Row]) -> list[str]:
    """The lines that explain the marks that these rows need."""
    unchecked = any(not result.verified for row in rows for result in _results(row))
    reproduced = any(row.pooled or row.split for row in rows)
    return [line for line, needed in ((UNCHECKED, unchecked), (REPRODUCTION, reproduced)) if needed]


def _results(row: Row) -> list[PublishedResult]:
    return [result for result in (row.published, row.pooled, row.split) if result]
