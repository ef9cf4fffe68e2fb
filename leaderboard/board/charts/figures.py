"""Charts as figures, each drawn once: SVG for browsers, PDF for pdfLaTeX; names stand at what they name, on a phone too."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leaderboard.board.charts.chart import ACCENT, FAINT, INK, SOFT, Chart, Mark, colour
from leaderboard.board.charts.headless import headless
from leaderboard.board.charts.labels import Box, beside, spread
from leaderboard.board.charts.svg import chart_digest, element_id, embeddable, with_digests

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH, LINE = 4.6, 10.0  # inches; points from one line of text to the next
Look = tuple[str, str, bool]  # shape, colour, filled
_LOOKS: tuple[Look, ...] = (("o", ACCENT, True), ("o", ACCENT, False), ("D", SOFT, True), ("D", SOFT, False))
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # TrueType: Type 3 fonts are refused by many a publisher
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 8, "figure.titlesize": 9.5, "axes.titlesize": 7.5, "axes.labelsize": 8, "legend.fontsize": 7.5,
    "xtick.labelsize": 8, "ytick.labelsize": 8,
    "figure.titleweight": "bold", "axes.linewidth": 0.6, "lines.linewidth": 1.3,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 3, "ytick.major.size": 3,
    "xtick.minor.size": 0, "ytick.minor.size": 0,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.unicode_minus": True,
    "legend.frameon": False,
}  # fmt: skip


def draw(chart: Chart) -> tuple[bytes, bytes]:
    """The chart as SVG and as PDF."""
    digest = chart_digest(chart)
    svg, pdf = io.BytesIO(), io.BytesIO()
    with headless(), warnings.catch_warnings():
        import matplotlib as mpl

        warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn by the reader's
        # Ids are made from the salt: one for each chart, so that none comes twice in a page.
        style: Any = _STYLE | {"svg.hashsalt": digest}
        with mpl.rc_context(style):
            figure = _figure(chart)
            figure.savefig(svg, format="svg", metadata={"Date": None})
            figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    drawing = embeddable(svg.getvalue(), f"{chart.title}. {chart.x_label}; {chart.y_label}")
    return with_digests(drawing, pdf.getvalue(), digest), pdf.getvalue()


def _figure(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    groups = {mark.group for mark in chart.marks}
    height = 1.25 + 0.27 * len(chart.models) + 0.15 * (len(groups) > 2) if chart.kind == "dots" else 3.4
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel="\n".join(textwrap.wrap(chart.x_label, 52)), ylabel=chart.y_label)
    figure.suptitle(chart.title, x=0.01, ha="left")
    below = textwrap.wrap(chart.subtitle + (f" ({chart.note})" if chart.note else ""), 62)
    figure.text(0.01, 1 - 17 / 72 / height, "\n".join(below), va="top")
    axes.set_title("\n".join(" " for _ in below))  # keeps the room free
    {"dots": _dots, "lines": _lines, "front": _front}[chart.kind](axes, chart)
    return figure


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


def _dots(axes: Axes, chart: Chart) -> None:
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


def _lines(axes: Axes, chart: Chart) -> None:
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


def _front(axes: Axes, chart: Chart) -> None:
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
