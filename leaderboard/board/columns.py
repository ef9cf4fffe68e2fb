"""The columns of a table, once for the page and for LaTeX: what stands in a cell, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leaderboard.board import markup
from leaderboard.board.markup import NOTHING
from leaderboard.board.pace import Pace
from leaderboard.board.published import PublishedResult
from leaderboard.board.tables import Row, Table
from leaderboard.errors import one_line

Key = float | str | None


@dataclass(frozen=True)
class Column:
    """``text`` is plain and on one line; ``key`` sorts (None: last). ``optional``: left out of a table where it is empty."""

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], Key]
    number: bool = True
    optional: bool = False


def columns_of(table: Table) -> list[Column]:
    """The columns that this table has: all but the optional ones in which no row says anything."""
    return [c for c in COLUMNS if not c.optional or any(c.text(row) != NOTHING for row in table.rows)]


def interval(row: Row) -> str:
    """``2.01 to 2.19``, the 95 % interval of the mean."""
    return markup.interval(row.interval) if row.interval else NOTHING


def published(result: PublishedResult | None) -> str:
    """Mean and spread of a published number, with a dagger where it was quoted from memory only."""
    if result is None:
        return NOTHING
    return markup.spread(result.error_mean, result.error_std) + ("" if result.verified else " †")


def gap(row: Row) -> str:
    """Our mean minus the published one, and whether that lies in our interval where there is one."""
    if row.difference is None:
        return NOTHING
    inside = {None: "", True: " (inside)", False: " (outside)"}[row.published_inside]
    return markup.difference(row.difference) + inside


def times(row: Row) -> str:
    """Median seconds per epoch for each hardware and way of computing, named where there are several."""
    return "; ".join(_time(pace, of_several=len(row.paces) > 1) for pace in row.paces) or NOTHING


def hardware(row: Row) -> str:
    """Everything that the row's runs were trained on, and how where not in the plain way."""
    return "; ".join(one_line(pace.label) for pace in row.paces) or NOTHING


def _time(pace: Pace, of_several: bool) -> str:
    mark = " ‡" if pace.shared else ""
    return markup.seconds(pace.seconds) + mark + (f" ({one_line(pace.label)})" if of_several else "")


def _mean(result: PublishedResult | None) -> float | None:
    return result.error_mean if result else None


COLUMNS = (
    Column("Model", lambda row: row.model, lambda row: row.model, number=False),
    Column("Rank", lambda row: NOTHING if row.rank is None else str(row.rank), lambda row: row.rank, optional=True),
    Column(
        "Error %",
        lambda row: markup.spread(row.summary.mean, row.summary.std) if row.summary else NOTHING,
        lambda row: row.summary.mean if row.summary else None,
    ),
    Column("95 % interval", interval, lambda row: row.interval.low if row.interval else None, optional=True),
    Column("n", lambda row: markup.whole(row.summary, row.expected), lambda row: row.summary.n if row.summary else 0),
    Column("Published %", lambda row: published(row.published), lambda row: _mean(row.published), optional=True),
    Column(
        "Ours − published",
        gap,
        lambda row: row.difference,
        optional=True,
    ),
    Column("Reproduced %, split", lambda row: published(row.split), lambda row: _mean(row.split), optional=True),
    Column("Reproduced %, pooled", lambda row: published(row.pooled), lambda row: _mean(row.pooled), optional=True),
    Column(
        "Parameters",
        lambda row: "; ".join(f"{count:,}" for count in row.parameters) or NOTHING,
        lambda row: row.parameters[0] if row.parameters else None,
    ),
    Column("Train s/epoch", times, lambda row: row.paces[0].seconds if row.paces else None),
    Column("Hardware", hardware, hardware, number=False),
)
