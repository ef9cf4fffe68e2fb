"""The three kinds of chart, each drawn into axes: rows of dots, lines, and points with a front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.board.charts.chart import ACCENT, FAINT, SOFT, Chart, Mark, colour
from leaderboard.board.charts.labels import Box, beside, spread
from leaderboard.board.charts.svg import element_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

LINE = 10.0  # points from one line of text to the next
Look = tuple[str, str, bool]  # shape, colour, filled
_LOOKS: tuple[Look, ...] = (("o", ACCENT, True), ("o", ACCENT, False), ("D", SOFT, True), ("D", SOFT, False))


def _box(axes: Axes) -> Box:
    """The axes as they will lie on the figure, in pixels."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    left, bottom, right, top = axes.get_window_extent().extents
    return float(left), float(bottom), float(right), float(top)


def _mark(axes: Axes, mark: Mark, look: Look, size: float = 5.5) -> None:
    shape, shade, filled = look
    inside, edge, width = (shade, "white", 0.6) if filled else ("white", shade, 1.1)
    words = element_id("mark", mark.model, mark.tooltip)
    axes.plot(
        mark.x, mark.y, shape, color=inside, markersize=size, markeredgecolor=edge, markeredgewidth=width, gid=words, zorder=3
    )


def draw_dots(axes: Axes, chart: Chart) -> None:
    """A row for each model, its name to the left and words in ink to the right; the groups' looks are told above."""
    from matplotlib.lines import Line2D

    entries = []
    for group, look in dict.fromkeys((mark.group, mark.look) for mark in sorted(chart.marks, key=lambda mark: mark.look)):
        shape, shade, filled = _LOOKS[look]
        size = 4.4 if shape == "D" else 5.5
        for mark in (mark for mark in chart.marks if mark.group == group):
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [mark.y] * 2, color=shade, gid=element_id("bar", mark.model))
            _mark(axes, mark, _LOOKS[look], size)
        face = shade if filled else "white"
        entry = Line2D([], [], linewidth=0, marker=shape, markersize=size, color=shade, markerfacecolor=face, label=group)
        entries.append(entry)
    rows = range(len(chart.models))
    axes.set_yticks(rows, chart.models)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params("y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(rows, 0, 1, color=FAINT, linewidth=0.5, zorder=0, transform=axes.get_yaxis_transform())
    for label in axes.get_yticklabels():
        label.set_gid(element_id("name", label.get_text()))
    right = axes.get_yaxis_transform()
    for column, (heading, texts) in enumerate(chart.asides):
        for y, text in ((-0.5, heading), *enumerate(texts)):
            foot = "bottom" if y < 0 else "center"
            axes.text(1.05 + 0.1 * column, y, text, transform=right, ha="center", va=foot, fontsize=7.5)
    axes.figure.legend(
        handles=entries, loc="outside lower left", ncols=2, borderaxespad=0.3, handletextpad=0.1, columnspacing=1,
        labelspacing=0.3,
    )  # fmt: skip


def draw_lines(axes: Axes, chart: Chart) -> None:
    """A line for each model, its name at the right end, led to by a thin line where others are too near."""
    if chart.span:
        axes.axvspan(*chart.span, color="0.94", zorder=0)
    if chart.log_x:
        axes.set_xscale("log")
        axes.set_xticks(_apart([mark.x for mark in chart.marks]), minor=False)
        axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter("{x:g}")
    if min(mark.y for mark in chart.marks) > 0:  # errors are told apart by their ratios
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    ends = []
    for model in chart.models:
        marks, shade = [mark for mark in chart.marks if mark.model == model], colour(chart.models, model)
        axes.plot([m.x for m in marks], [m.y for m in marks], color=shade, zorder=1, gid=element_id("line", model))
        for mark in marks:
            _mark(axes, mark, ("o", shade, True), 4)
        ends.append(marks[-1])
    _, bottom, _, top = _box(axes)
    line = LINE / 72 * axes.figure.dpi / (top - bottom)
    inside = axes.transAxes.inverted()
    fractions = [tuple(inside.transform(axes.transData.transform((end.x, end.y)))) for end in ends]
    for end, (x, y), place in zip(ends, fractions, spread([y for _, y in fractions], line, line / 2, 1), strict=True):
        shade, lead = colour(chart.models, end.model), element_id("lead", end.model)
        way = [x, 1.01, 1.05], [y, y, place]
        axes.plot(*way, transform=axes.transAxes, color=shade, linewidth=0.6, clip_on=False, gid=lead, zorder=1)
        axes.text(1.06, place, end.model, transform=axes.transAxes, va="center", gid=element_id("label", end.model))


def _apart(values: Sequence[float]) -> list[float]:
    """Those of positive values that leave room for their numbers on a logarithmic axis; the smallest and the largest too."""
    low, *others = sorted(set(values))
    kept = [low]
    step = math.log(others[-1] / low) / 14 if others else 0
    for value in others:
        if math.log(value / kept[-1]) >= step and (value == others[-1] or math.log(others[-1] / value) >= step):
            kept.append(value)
    return kept


def _plain_ticks(axis: Axis) -> None:
    """1, 2, 3, 5, 10 on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:,g}")


def draw_front(axes: Axes, chart: Chart) -> None:
    """Points in ink, those on the front filled, each with its name."""
    if chart.log_x:
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
    else:
        axes.xaxis.set_major_formatter("{x:,g}")
    front = sorted((mark.x, mark.y) for mark in chart.marks if mark.group)
    axes.step(*zip(*front, strict=True), where="post", color=SOFT, linewidth=0.8, linestyle="--", zorder=0)
    for mark in chart.marks:
        _mark(axes, mark, ("o", ACCENT, bool(mark.group)))
    axes.margins(0.1)
    room = _box(axes)
    points = [tuple(map(float, axes.transData.transform((mark.x, mark.y)))) for mark in chart.marks]
    texts = [axes.text(0, 0, mark.model, fontsize=7.5, gid=element_id("label", mark.model)) for mark in chart.marks]
    sizes = [text.get_window_extent() for text in texts]
    corners = beside([(x, y) for x, y in points], [size.width for size in sizes], max(size.height for size in sizes), room)
    for text, corner in zip(texts, corners, strict=True):
        text.set_position(tuple(axes.transAxes.inverted().transform(corner)))
        text.set(transform=axes.transAxes, va="bottom", zorder=2, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})
