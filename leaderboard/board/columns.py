"""The columns of a table, once for Markdown, page and LaTeX: what stands in a cell, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from leaderboard.board import markup
from leaderboard.board.epoch_time import EpochTime
from leaderboard.board.markup import NOTHING
from leaderboard.board.published import PublishedList, PublishedResult
from leaderboard.board.tables import Row
from leaderboard.errors import one_line

Key = float | str | None
R = TypeVar("R")  # what a row shows


@dataclass(frozen=True)
class Column(Generic[R]):
    """``text`` is plain and on one line; ``key`` sorts (None: last). ``optional``: left out of a table where it is empty.

    ``heading``: the title in Markdown, where it is longer.
    """

    title: str
    text: Callable[[R], str]
    key: Callable[[R], Key]
    number: bool = True
    optional: bool = False
    heading: str = ""


def columns_of(rows: Sequence[R], columns: Sequence[Column[R]]) -> list[Column[R]]:
    """Those of ``columns`` that say anything in these rows, or that every table has."""
    return [c for c in columns if not c.optional or any(c.text(row) != NOTHING for row in rows)]


def published_columns(shown: PublishedList) -> list[Column[PublishedResult]]:
    """The columns of a list of published numbers; a source's number, where there are several, is its place in ``sources``."""
    number = {source: place for place, source in enumerate(shown.sources, 1)}
    text = str if len(number) > 1 else lambda place: NOTHING
    source = Column[PublishedResult]("Source", lambda p: text(number[p.source]), lambda p: number[p.source], optional=True)
    return columns_of(shown.results, (METHOD, HERE, PUBLISHED_ERROR, PUBLISHED_PARAMETERS, source))


def _published(result: PublishedResult | None) -> str:
    return result.text if result else NOTHING


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


def _repeated(row: Row) -> str:
    """How many of the row's runs others have repeated, and whether any of them found something else."""
    n = row.summary.n if row.summary else 0
    found = [f"{row.repeated} of {n} runs"] if row.repeated else []
    return "; ".join([*found, *([f"{row.disputed} not agreed"] if row.disputed else [])]) or NOTHING


def _mean(result: PublishedResult | None) -> float | None:
    return result.error_mean if result else None


MODEL = Column[Row]("Model", lambda row: row.model, lambda row: row.model, number=False)
RANK = Column[Row]("Rank", lambda row: NOTHING if row.rank is None else str(row.rank), lambda row: row.rank, optional=True)
ERROR = Column[Row](
    "Error %",
    lambda row: markup.mean_std(row.summary.mean, row.summary.std) if row.summary else NOTHING,
    lambda row: row.summary.mean if row.summary else None,
    heading="Error % (mean ± std)",
)
INTERVAL = Column[Row](
    "95 % interval",
    lambda row: markup.interval(row.interval) if row.interval else NOTHING,
    lambda row: row.interval.low if row.interval else None,
    optional=True,
)
COUNT = Column[Row](
    "n", lambda row: markup.count_of(row.summary, row.expected), lambda row: row.summary.n if row.summary else 0
)
PUBLISHED = Column[Row](
    "Published %",
    lambda row: _published(row.published),
    lambda row: _mean(row.published),
    optional=True,
    heading="Published % (mean ± std)",
)
DIFFERENCE = Column[Row]("Ours − published", _gap, lambda row: row.difference, optional=True)
SPLIT = Column[Row]("Reproduced %, split", lambda row: _published(row.split), lambda row: _mean(row.split), optional=True)
POOLED = Column[Row]("Reproduced %, pooled", lambda row: _published(row.pooled), lambda row: _mean(row.pooled), optional=True)
REPRODUCED = Column[Row](
    "TU Delft % as printed; split",
    lambda row: f"{_published(row.pooled)}; {_published(row.split)}" if row.pooled or row.split else NOTHING,
    lambda row: _mean(row.pooled),
    optional=True,
)
PARAMETERS = Column[Row](
    "Parameters",
    lambda row: "; ".join(f"{count:,}" for count in row.parameters) or NOTHING,
    lambda row: row.parameters[0] if row.parameters else None,
)
TIME = Column[Row](
    "Train s/epoch",
    _times,
    lambda row: row.epoch_times[0].seconds if row.epoch_times else None,
    heading="Train s/epoch (median)",
)
REPEATED = Column[Row]("Repeated by others", _repeated, lambda row: row.repeated, optional=True)
HARDWARE = Column[Row]("Hardware", _hardware, _hardware, number=False)

PAGE = (MODEL, RANK, ERROR, INTERVAL, COUNT, REPEATED, PUBLISHED, DIFFERENCE, SPLIT, POOLED, PARAMETERS, TIME, HARDWARE)
MARKDOWN = (MODEL, ERROR, COUNT, REPEATED, INTERVAL, RANK, PARAMETERS, TIME, HARDWARE, PUBLISHED, REPRODUCED, DIFFERENCE)

METHOD = Column[PublishedResult]("Method", lambda p: p.method, lambda p: p.method, number=False)
HERE = Column[PublishedResult]("Model here", lambda p: p.model or NOTHING, lambda p: p.model, number=False, optional=True)
PUBLISHED_ERROR = Column[PublishedResult]("Error %", lambda p: p.text, lambda p: p.error_mean)
PUBLISHED_PARAMETERS = Column[PublishedResult](
    "Parameters", lambda p: f"{p.params:,}" if p.params else NOTHING, lambda p: p.params, optional=True
)
