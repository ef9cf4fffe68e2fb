"""Charts as figures, each drawn once in seaborn's style: SVG for browsers, PDF for pdfLaTeX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leaderboard.board.charts.chart import COLOURS, OTHERS, Chart, Mark, colour
from leaderboard.board.charts.headless import headless
from leaderboard.board.charts.svg import chart_digest, element_id, embeddable, with_digests

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "p")
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # TrueType: Type 3 fonts are refused by many a publisher
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.unicode_minus": True,
    "legend.frameon": False,
}


def draw(chart: Chart, models: Sequence[str]) -> tuple[bytes, bytes]:
    """The chart as SVG and as PDF; ``models`` are those with colours of their own."""
    digest = chart_digest(chart, models)
    svg, pdf = io.BytesIO(), io.BytesIO()
    with headless(), warnings.catch_warnings():
        import seaborn as sns
        from matplotlib.figure import Figure

        warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn by the reader's
        # Ids are made from the salt: one for each chart, so that none comes twice in a page.
        sns.set_theme(context="paper", style="ticks", rc=_STYLE | {"svg.hashsalt": digest})
        height = 1.2 + 0.24 * len(chart.models) if chart.kind == "dots" else 3.4
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        (_dots if chart.kind == "dots" else _points)(axes, chart, models)
        axes.set(title=chart.title + (f" ({chart.note})" if chart.note else ""), xlabel=chart.x_label, ylabel=chart.y_label)
        sns.despine(ax=axes)
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    drawing = embeddable(svg.getvalue(), f"{chart.title}. {chart.x_label}; {chart.y_label}")
    return with_digests(drawing, pdf.getvalue(), digest), pdf.getvalue()


def _mark(axes: Axes, mark: Mark, y: float, shade: str, shape: str = "o", size: float = 6.5) -> None:
    words = element_id("mark", mark.model, mark.tooltip)
    axes.plot(mark.x, y, shape, color=shade, markersize=size, markeredgecolor="white", markeredgewidth=0.5, gid=words)


def _points(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    """Charts of the kinds pareto and lines: a colour and a shape of mark for each of ``models``."""
    if chart.kind == "pareto":
        front = sorted((mark.x, mark.y) for mark in chart.marks if mark.group == "pareto")
        axes.step(*zip(*front, strict=True), where="post", color=OTHERS, linestyle="--", zorder=0)
    if chart.span:
        axes.axvspan(*chart.span, color="0.93", zorder=0)
    for model in chart.models:
        marks = [mark for mark in chart.marks if mark.model == model]
        shade, shape = colour(models, model), _MARKERS[models.index(model) % len(_MARKERS)] if model in models else "o"
        if chart.kind == "lines":
            axes.plot([m.x for m in marks], [m.y for m in marks], color=shade, zorder=1, gid=element_id("line", model))
        for mark in marks:
            _mark(axes, mark, mark.y, shade, shape, 6.5 if chart.kind == "pareto" else 4.8)
        axes.lines[-1].set_label(model if model in models else None)
    number = "{x:,g}" if chart.kind == "pareto" else "{x:g}"
    if chart.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(number if chart.kind == "pareto" else "")
    if chart.log_x and chart.kind == "lines":
        axes.set_xticks(sorted({mark.x for mark in chart.marks}))
    axes.xaxis.set_major_formatter(number)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    for sample, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        for part in filter(None, (sample, text)):
            part.set_gid(element_id("entry", text.get_text()))


def _dots(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    """A row for each model; colours say what group a mark is of."""
    rows = {model: index for index, model in enumerate(chart.models)}
    for index, group in enumerate(dict.fromkeys(mark.group for mark in chart.marks)):
        shade = COLOURS[index % len(COLOURS)]
        for mark in (mark for mark in chart.marks if mark.group == group):
            row = rows[mark.model]
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [row, row], color=shade, zorder=1, gid=element_id("bar", mark.model))
            _mark(axes, mark, row, shade)
        axes.lines[-1].set_label(group)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", color="0.93")
    for label in axes.get_yticklabels():
        label.set_gid(element_id("name", label.get_text()))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
