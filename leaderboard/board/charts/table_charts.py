"""Charts of a table: errors beside the published ones, against training time, against parameters, and by scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from leaderboard.board import markup
from leaderboard.board.charts.chart import Chart, Mark, digits, limited
from leaderboard.board.tables import Row, Table, error_by_scale
from leaderboard.errors import one_line

ASIDE = 0.14  # of a row: by how much ours stands above its middle and the published number below
WIDEST = 1.1  # parameters within a tenth of one another are one budget, and no axis


def charts_of(table: Table, protocol: str) -> list[Chart]:
    """The charts of one table that say something, those of three models and more.

    Under ``paper``, the recipe of the published numbers, these stand beside ours.
    """
    rows = [row for row in table.rows if row.summary]
    found = [_errors(rows, as_published=protocol == "paper"), _time(rows), _parameters(rows), _by_scale(table, rows)]
    subtitle = f"{table.task}, protocol {protocol}"
    return [replace(chart, subtitle=subtitle) for chart in found if chart.worth_drawing]


def _error(row: Row) -> float:
    return digits(row.summary.mean) if row.summary else 0.0


def _says(row: Row) -> str:
    assert row.summary
    text = f"{row.model}: {markup.mean_std(row.summary.mean, row.summary.std)} %, n = {row.summary.n}"
    text += f", 95 % interval {row.interval.low:.2f} to {row.interval.high:.2f}" if row.interval else ""
    return text + (f", rank {row.rank}" if row.rank else "")


def _errors(rows: Sequence[Row], *, as_published: bool) -> Chart:
    """One row a model: our mean with its interval, and below it the published one with its spread."""
    shown, note = limited("dots", [row.model for row in rows])
    rows = rows[: len(shown)]
    published = [_published(row, index) for index, row in enumerate(rows) if row.published] if as_published else []
    step = ASIDE if published else 0
    ours = [
        Mark(
            row.model, _error(row), index - step, _says(row),
            digits(row.interval.low) if row.interval else None, digits(row.interval.high) if row.interval else None,
            "here: mean, 95 % interval" if row.interval else "here: mean of one run", 0 if row.interval else 1,
        )
        for index, row in enumerate(rows)
    ]  # fmt: skip
    runs = ("n", tuple(str(row.summary.n) if row.summary else "" for row in rows))
    ranks = ("rank", tuple(markup.NOTHING if row.rank is None else str(row.rank) for row in rows))
    return Chart(
        "errors", "dots", "Ours and published" if published else "Error", "Test error, %", "", (*ours, *published), note=note,
        asides=(runs, ranks) if any(row.rank for row in rows) else (runs,),
    )  # fmt: skip


def _published(row: Row, index: int) -> Mark:
    result = row.published
    assert result
    reach = result.error_std
    low, high = (None, None) if reach is None else (digits(result.error_mean - reach), digits(result.error_mean + reach))
    group, look = ("published: mean ± std", 2) if result.verified else ("published, quoted from memory", 3)
    says = f"{row.model}, published: {result.text} %"
    return Mark(row.model, digits(result.error_mean), index + ASIDE, says, low, high, group, look)


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
    sizes = [size for _, size in points]
    one_budget = not sizes or max(sizes) <= WIDEST * min(sizes)
    title = "Error against parameters"
    return _front("error-parameters", title, "Trainable parameters", [] if one_budget else points, "parameters")


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
        for (low, high), (count, wrong) in error_by_scale(run for run in table.runs if run.model == model).items():
            if count:
                says = f"{model}, digits of scale {low:g} to {high:g}: {100 * wrong / count:.2f} % of {count:,}"
                marks.append(Mark(model, digits((low + high) / 2), digits(100 * wrong / count), says))
    title, label = "Error by digit scale", "Scale factor of the digit (middle of the bin)"
    return Chart("error-scale", "lines", title, label, "Test error, %", tuple(marks), note=note)
