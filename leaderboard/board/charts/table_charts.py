"""Charts of a table: errors with ranks, against training time, against parameters, and by scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leaderboard.board import markup
from leaderboard.board.charts.chart import MOST, Chart, Mark, digits, limited
from leaderboard.board.tables import Row, Table, error_by_scale
from leaderboard.errors import one_line


def coloured_models(table: Table) -> list[str]:
    """The models of a table that have colours of their own, by name: the best twenty."""
    return sorted(row.model for row in _with_result(table)[: MOST["lines"]])


def charts_of(table: Table) -> list[Chart]:
    """The charts of one table, without those for which there is nothing to show."""
    rows = _with_result(table)
    found = [_ranks(rows), _time(rows), _parameters(rows), _by_scale(table, rows)]
    return [chart for chart in found if chart.marks]


def _with_result(table: Table) -> list[Row]:
    return [row for row in table.rows if row.summary]


def _error(row: Row) -> float:
    return digits(row.summary.mean) if row.summary else 0.0


def _says(row: Row) -> str:
    assert row.summary
    text = f"{row.model}: {markup.mean_std(row.summary.mean, row.summary.std)} %, n = {row.summary.n}"
    text += f", 95 % interval {row.interval.low:.2f} to {row.interval.high:.2f}" if row.interval else ""
    return text + (f", rank {row.rank}" if row.rank else "")


def _ranks(rows: Sequence[Row]) -> Chart:
    shown, note = limited("dots", [row.model for row in rows])
    marks = [
        Mark(
            row.model, _error(row), index, _says(row),
            digits(row.interval.low) if row.interval else None, digits(row.interval.high) if row.interval else None,
            f"rank {row.rank}" if row.rank else "no rank: two shared realizations are needed",
        )
        for index, row in enumerate(rows[: len(shown)])
    ]  # fmt: skip
    return Chart("ranks", "dots", "Error and rank groups", "Test error, % (mean, 95 % interval)", "", tuple(marks), note=note)


def _time(rows: Sequence[Row]) -> Chart:
    """On the one hardware, and way of computing, that most models have times of: other times do not compare."""
    timed = {  # times taken beside other processes or runs are not shown
        row.model: {p.label: digits(p.seconds) for p in row.epoch_times if p.seconds and not p.shared} for row in rows
    }
    counts = Counter(label for epoch_times in timed.values() for label in epoch_times)
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
    shown, note = limited("pareto", [row.model for row, _ in points])
    marks = [
        Mark(row.model, x, _error(row), f"{_says(row)}; {x:,.6g} {unit}", group="pareto" if row.model in front else "")
        for row, x in points
        if row.model in front or row.model in shown
    ]
    return Chart(name, "pareto", title, label, "Test error, %", tuple(marks), log_x, note=note)


def _by_scale(table: Table, rows: Sequence[Row]) -> Chart:
    shown, note = limited("lines", [row.model for row in rows])
    marks = []
    for model in shown:
        for (low, high), (count, wrong) in error_by_scale(run for run in table.runs if run.model == model).items():
            if count:
                says = f"{model}, digits of scale {low:g} to {high:g}: {100 * wrong / count:.2f} % of {count:,}"
                marks.append(Mark(model, digits((low + high) / 2), digits(100 * wrong / count), says))
    title, label = "Error by digit scale", "Scale factor of the digit (middle of the bin)"
    return Chart("error-scale", "lines", title, label, "Test error, %", tuple(marks), note=note)
