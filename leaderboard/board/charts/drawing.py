"""Charts as SVG elements inside the page, a pure function of the chart: without JavaScript they can be read as they are.

A mark carries its model (``data-model``) and its words (a ``<title>``, which a browser shows as a tooltip by itself).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from leaderboard.board.charts.charts import COLOURS, OTHERS, Chart, Mark, colour
from leaderboard.errors import one_line

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, ROW = 560, 340, 64, 18, 12, 48, 24
Scale = Callable[[float], float]


def draw(chart: Chart, models: Sequence[str]) -> str:
    """The chart as one SVG element; ``models`` are those with colours of their own."""
    rows = chart.kind == "rows"
    left = min(220, 20 + 8 * max(len(model) for model in chart.models)) if rows else LEFT
    height = TOP + BOTTOM + ROW * len(chart.models) if rows else HEIGHT
    bottom = height - BOTTOM
    values = [v for mark in chart.marks for v in (mark.x, mark.low, mark.high) if rows and v is not None]
    values = values or [mark.x for mark in chart.marks]
    x, x_ticks = _axis(values, left, WIDTH - RIGHT, chart.log_x)
    parts = [f'<rect class="span" {_box(x, chart.span, bottom)}/>'] if chart.span else []
    parts += [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{bottom}"/>'
        f'<text x="{x(t):.1f}" y="{bottom + 18}" text-anchor="middle">{t:,.6g}</text>'
        for t in x_ticks
    ]
    parts.append(
        f'<text x="{(left + WIDTH - RIGHT) / 2:.1f}" y="{height - 8}" text-anchor="middle">{_text(chart.x_label)}</text>'
    )
    parts += _rows(chart, x, left) if rows else _points(chart, models, x, bottom)
    label = escape(f"{chart.title}. {chart.x_label}; {chart.y_label}", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _points(chart: Chart, models: Sequence[str], x: Scale, bottom: int) -> list[str]:
    y, ticks = _axis([mark.y for mark in chart.marks], bottom, TOP, log=False)
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(t) + 4:.1f}" text-anchor="end">{t:,.6g}</text>'
        for t in ticks
    ]
    middle = (TOP + bottom) / 2
    parts.append(f'<text transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle">{_text(chart.y_label)}</text>')
    if chart.kind == "front":
        front = sorted((mark.x, mark.y) for mark in chart.marks if mark.group == "front")
        steps = "".join(f"H{x(a):.1f}V{y(b):.1f}" for a, b in front[1:])
        parts.append(f'<path class="front" d="M{x(front[0][0]):.1f} {y(front[0][1]):.1f}{steps}"/>')
    else:
        for model in chart.models:
            path = "L".join(f"{x(m.x):.1f} {y(m.y):.1f}" for m in chart.marks if m.model == model)
            shade = colour(models, model)
            parts.append(f'<path class="line" data-model="{escape(model)}" d="M{path}" fill="none" stroke="{shade}"/>')
    return parts + [_mark(mark, x(mark.x), y(mark.y), colour(models, mark.model), models) for mark in chart.marks]


def _rows(chart: Chart, x: Scale, left: int) -> list[str]:
    groups = list(dict.fromkeys(mark.group for mark in chart.marks))
    place = {model: TOP + ROW * (index + 0.5) for index, model in enumerate(chart.models)}
    parts = [
        f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text data-model="{escape(model)}" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(model)}</text>'
        for model, y in place.items()
    ]
    for mark in chart.marks:
        shade, y = COLOURS[groups.index(mark.group) % len(COLOURS)], place[mark.model]
        if mark.low is not None and mark.high is not None:
            ends = f'x1="{x(mark.low):.1f}" x2="{x(mark.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="bar" data-model="{escape(mark.model)}" {ends} stroke="{shade}"/>')
        parts.append(_mark(mark, x(mark.x), y, shade, ()))
    return parts


def groups_of(chart: Chart) -> list[tuple[str, str]]:
    """What the colours of a chart of rows mean: (group, colour)."""
    groups = list(dict.fromkeys(mark.group for mark in chart.marks)) if chart.kind == "rows" else []
    return [(group, COLOURS[index % len(COLOURS)]) for index, group in enumerate(groups)]


def _mark(mark: Mark, x: float, y: float, shade: str, models: Sequence[str]) -> str:
    """A circle; from the eleventh model on, where colours come again, a diamond."""
    if mark.model in models and models.index(mark.model) >= len(COLOURS):
        shape, tag = f'd="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"', "path"
    else:
        shape, tag = f'cx="{x:.1f}" cy="{y:.1f}" r="{4 if shade == OTHERS else 5}"', "circle"
    title = f"<title>{_text(mark.says)}</title>"
    return f'<{tag} class="mark" data-model="{escape(mark.model)}" {shape} fill="{shade}">{title}</{tag}>'


def _box(x: Scale, span: tuple[float, float], bottom: int) -> str:
    return f'x="{x(span[0]):.1f}" width="{x(span[1]) - x(span[0]):.1f}" y="{TOP}" height="{bottom - TOP}"'


def _text(text: str) -> str:
    return escape(one_line(text, 120))


def _axis(values: Sequence[float], begin: float, end: float, log: bool) -> tuple[Scale, list[float]]:
    """From a value to a coordinate, and the round values to be marked; some room on both sides."""
    log = log and min(values) > 0
    turn: Scale = math.log10 if log else float
    low, high = turn(min(values)), turn(max(values))
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    low, high = low - room, high + room
    ticks = _log_ticks(low, high) if log else _ticks(low, high)
    return lambda value: begin + (turn(value) - low) / (high - low) * (end - begin), ticks


def _ticks(low: float, high: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= 6)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    digits = (1, 2, 5) if high - low < 2.5 else (1,)
    if high - low < 0.35:
        return _ticks(10**low, 10**high)
    every = [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in digits]
    return [float(f"{tick:.6g}") for tick in every if low <= math.log10(tick) <= high]
