"""What the figures show, in plain numbers; figures.py draws them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboard.board import markup
from leaderboard.board.scale_tables import pooled
from leaderboard.board.tables import Row, Table
from leaderboard.errors import one_line

ChartKind = Literal["front", "lines", "rows"]
# Seaborn's colorblind palette; a model keeps its colour within a table's charts.
COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
OTHERS = "#bbbbbb"
MOST: dict[ChartKind, int] = {"front": 200, "lines": 20, "rows": 30}  # models in one chart; beyond, nobody can read it


@dataclass(frozen=True)
class Mark:
    """One point; ``low`` to ``high`` is a bar through it, ``group`` what its look says, ``says`` a reader's words for it."""

    model: str
    x: float
    y: float
    says: str
    low: float | None = None
    high: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Chart:
    """``front``: points, the Pareto-optimal ones in group "front". ``lines``: one line per model. ``rows``: one row per model,
    from best to worst, x and its bar along the row. ``span``: a range of x to be shaded. ``note`` stands below.
    """

    name: str
    kind: ChartKind
    title: str
    x_label: str
    y_label: str
    marks: tuple[Mark, ...]
    log_x: bool = False
    span: tuple[float, float] | None = None
    note: str = ""

    @property
    def models(self) -> list[str]:
        """In the order of their first marks."""
        return list(dict.fromkeys(mark.model for mark in self.marks))


def colour(models: Sequence[str], model: str) -> str:
    """The colour of one of ``models`` (those of a table); the same for every tenth."""
    return COLOURS[models.index(model) % len(COLOURS)] if model in models else OTHERS


def coloured(table: Table) -> list[str]:
    """The models of a table that have colours of their own, by name: the best twenty."""
    return sorted(row.model for row in _with_result(table)[: MOST["lines"]])


def charts_of(table: Table) -> list[Chart]:
    """The charts of one table, without those for which there is nothing to show."""
    rows = _with_result(table)
    found = [_ranks(rows), _time(rows), _parameters(rows), _by_scale(table, rows)]
    return [chart for chart in found if chart.marks]


def digits(value: float) -> float:
    """Six significant digits: enough to draw, and the same on every machine."""
    return float(f"{value:.6g}")


def limited(kind: ChartKind, models: Sequence[str]) -> tuple[list[str], str]:
    """The first of ``models`` (best first), as many as such a chart shows, and a note when some are left out."""
    most = MOST[kind]
    return list(models[:most]), f"the best {most} of {len(models)} models" if len(models) > most else ""


def _with_result(table: Table) -> list[Row]:
    return [row for row in table.rows if row.summary]


def _error(row: Row) -> float:
    return digits(row.summary.mean) if row.summary else 0.0


def _says(row: Row) -> str:
    assert row.summary
    text = f"{row.model}: {markup.spread(row.summary.mean, row.summary.std)} %, n = {row.summary.n}"
    text += f", 95 % interval {row.interval.low:.2f} to {row.interval.high:.2f}" if row.interval else ""
    return text + (f", rank {row.rank}" if row.rank else "")


def _ranks(rows: Sequence[Row]) -> Chart:
    shown, note = limited("rows", [row.model for row in rows])
    marks = [
        Mark(
            row.model, _error(row), index, _says(row),
            digits(row.interval.low) if row.interval else None, digits(row.interval.high) if row.interval else None,
            f"rank {row.rank}" if row.rank else "no rank: two shared realizations are needed",
        )
        for index, row in enumerate(rows[: len(shown)])
    ]  # fmt: skip
    return Chart("ranks", "rows", "Error and rank groups", "Test error, % (mean, 95 % interval)", "", tuple(marks), note=note)


def _time(rows: Sequence[Row]) -> Chart:
    """On the one hardware, and way of computing, that most models have times of: other times do not compare."""
    timed = {  # times taken beside other processes or runs are not shown
        row.model: {p.label: digits(p.seconds) for p in row.paces if p.seconds and not p.shared} for row in rows
    }
    counts = Counter(label for paces in timed.values() for label in paces)
    label = min(counts, key=lambda name: (-counts[name], name), default="")
    axis = f"Training time, s per epoch on {one_line(label, 60)}"
    points = [(row, timed[row.model][label]) for row in rows if label in timed[row.model]]
    return _front("error-time", "Error against training time", axis, points, "s/epoch", log_x=True)


def _parameters(rows: Sequence[Row]) -> Chart:
    points = [(row, float(row.parameters[0])) for row in rows if len(row.parameters) == 1]
    return _front("error-parameters", "Error against parameters", "Trainable parameters", points, "parameters")


def _front(name: str, title: str, label: str, points: list[tuple[Row, float]], unit: str, log_x: bool = False) -> Chart:
    """Each row at its cost; on the front stand those that no other beats in one and equals in the other."""
    front: set[str] = set()
    best = float("inf")
    for row, _ in sorted(points, key=lambda point: (point[1], _error(point[0]), point[0].model)):
        if _error(row) < best:
            best = _error(row)
            front.add(row.model)
    shown, note = limited("front", [row.model for row, _ in points])
    marks = [
        Mark(row.model, x, _error(row), f"{_says(row)}; {x:,.6g} {unit}", group="front" if row.model in front else "")
        for row, x in points
        if row.model in front or row.model in shown
    ]
    return Chart(name, "front", title, label, "Test error, %", tuple(marks), log_x, note=note)


def _by_scale(table: Table, rows: Sequence[Row]) -> Chart:
    shown, note = limited("lines", [row.model for row in rows])
    marks = []
    for model in shown:
        for (low, high), (count, wrong) in pooled(run for run in table.runs if run.model == model).items():
            if count:
                says = f"{model}, digits of scale {low:g} to {high:g}: {100 * wrong / count:.2f} % of {count:,}"
                marks.append(Mark(model, digits((low + high) / 2), digits(100 * wrong / count), says))
    title, label = "Error by digit scale", "Scale factor of the digit (middle of the bin)"
    return Chart("error-scale", "lines", title, label, "Test error, %", tuple(marks), note=note)


def mean(values: Iterable[float]) -> float:
    """The exact mean, to six digits."""
    return digits(statistics.mean(values))
