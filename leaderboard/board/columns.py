"""The columns of a table, once for Markdown, page and LaTeX: what stands in a cell, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leaderboard.board import markup
from leaderboard.board.epoch_time import EpochTime
from leaderboard.board.markup import NOTHING
from leaderboard.board.published import PublishedResult
from leaderboard.board.tables import Row, Table
from leaderboard.errors import one_line

Key = float | str | None


@dataclass(frozen=True)
class Column:
    """``text`` is plain and on one line; ``key`` sorts (None: last). ``optional``: left out of a table where it is empty.

    ``heading``: the title in Markdown, where it is longer.
    """

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], Key]
    number: bool = True
    optional: bool = False
    heading: str = ""


def columns_of(table: Table, columns: Sequence[Column] | None = None) -> list[Column]:
    """Those of ``columns`` (default: the page's) that say anything in this table, or that every table has."""
    return [c for c in columns or PAGE if not c.optional or any(c.text(row) != NOTHING for row in table.rows)]


def _published(result: PublishedResult | None) -> str:
    """Mean and spread of a published number, with a dagger where it was quoted from memory only."""
    if result is None:
        return NOTHING
    return markup.mean_std(result.error_mean, result.error_std) + ("" if result.verified else " †")


def _gap(row: Row) -> str:
    """Our mean minus the published one, and whether that lies in our interval where there is one."""
    if row.difference is None:
        return NOTHING
    inside = {None: "", True: " (inside)", False: " (outside)"}[row.published_inside]
    return markup.difference(row.difference) + inside


def _times(row: Row) -> str:
    """Median seconds per epoch for each hardware and way of computing, named where there are several."""
    return "; ".join(_time(time, of_several=len(row.epoch_times) > 1) for time in row.epoch_times) or NOTHING


def _hardware(row: Row) -> str:
    """Everything that the row's runs were trained on, and how where not in the plain way."""
    return "; ".join(one_line(time.label) for time in row.epoch_times) or NOTHING


def _time(time: EpochTime, of_several: bool) -> str:
    mark = " ‡" if time.shared else ""
    return markup.seconds(time.seconds) + mark + (f" ({one_line(time.label)})" if of_several else "")


def _mean(result: PublishedResult | None) -> float | None:
    return result.error_mean if result else None


MODEL = Column("Model", lambda row: row.model, lambda row: row.model, number=False)
RANK = Column("Rank", lambda row: NOTHING if row.rank is None else str(row.rank), lambda row: row.rank, optional=True)
ERROR = Column(
    "Error %",
    lambda row: markup.mean_std(row.summary.mean, row.summary.std) if row.summary else NOTHING,
    lambda row: row.summary.mean if row.summary else None,
    heading="Error % (mean ± std)",
)
INTERVAL = Column(
    "95 % interval",
    lambda row: markup.interval(row.interval) if row.interval else NOTHING,
    lambda row: row.interval.low if row.interval else None,
    optional=True,
)
COUNT = Column("n", lambda row: markup.count_of(row.summary, row.expected), lambda row: row.summary.n if row.summary else 0)
PUBLISHED = Column(
    "Published %",
    lambda row: _published(row.published),
    lambda row: _mean(row.published),
    optional=True,
    heading="Published % (mean ± std)",
)
DIFFERENCE = Column("Ours − published", _gap, lambda row: row.difference, optional=True)
SPLIT = Column("Reproduced %, split", lambda row: _published(row.split), lambda row: _mean(row.split), optional=True)
POOLED = Column("Reproduced %, pooled", lambda row: _published(row.pooled), lambda row: _mean(row.pooled), optional=True)
REPRODUCED = Column(
    "TU Delft % as printed; split",
    lambda row: f"{_published(row.pooled)}; {_published(row.split)}" if row.pooled or row.split else NOTHING,
    lambda row: _mean(row.pooled),
    optional=True,
)
PARAMETERS = Column(
    "Parameters",
    lambda row: "; ".join(f"{count:,}" for count in row.parameters) or NOTHING,
    lambda row: row.parameters[0] if row.parameters else None,
)
TIME = Column(
    "Train s/epoch",
    _times,
    lambda row: row.epoch_times[0].seconds if row.epoch_times else None,
    heading="Train s/epoch (median)",
)
HARDWARE = Column("Hardware", _hardware, _hardware, number=False)

PAGE = (MODEL, RANK, ERROR, INTERVAL, COUNT, PUBLISHED, DIFFERENCE, SPLIT, POOLED, PARAMETERS, TIME, HARDWARE)
MARKDOWN = (MODEL, ERROR, COUNT, INTERVAL, RANK, PARAMETERS, TIME, HARDWARE, PUBLISHED, REPRODUCED, DIFFERENCE)
