"""Charts as figures, each drawn once: SVG for browsers, PDF for pdfLaTeX; names stand at what they name, on a phone too."""

from __future__ import annotations

import io
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from leaderboard.board.charts.chart import INK, SOFT, Chart
from leaderboard.board.charts.headless import headless
from leaderboard.board.charts.kinds import draw_dots, draw_front, draw_lines
from leaderboard.board.charts.svg import chart_digest, embeddable, with_digests

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 4.6  # inches
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
    {"dots": draw_dots, "lines": draw_lines, "front": draw_front}[chart.kind](axes, chart)
    return figure
