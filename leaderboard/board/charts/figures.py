"""Charts as figures, each drawn once in seaborn's style: an SVG that is a file and stands in the page, a PDF for pdfLaTeX.

A mark of the SVG carries its model (``data-model``) and a reader's words for it (``<title>``: browsers show it as a tooltip).

The same chart gives the same bytes with the same versions of matplotlib and seaborn, and other bytes with others. An SVG
therefore begins with digests: of its chart together with this source file, of its own drawing, and of its PDF. ``is_current``
compares these, so that a check neither draws anything nor depends on what is installed.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from leaderboard.board.charts.chart import COLOURS, OTHERS, Chart, Mark, colour
from leaderboard.board.charts.headless import headless

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEAD = re.compile(rb"<!-- `bench leaderboard`: data ([0-9a-f]{64}), drawing ([0-9a-f]{64}), PDF ([0-9a-f]{64}) -->")
_SVG = "http://www.w3.org/2000/svg"
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
    data = _data(chart, models)
    svg, pdf = io.BytesIO(), io.BytesIO()
    with headless(), warnings.catch_warnings():
        import seaborn as sns
        from matplotlib.figure import Figure

        warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn by the reader's
        # Ids are made from the salt: one for each chart, so that none comes twice in a page.
        sns.set_theme(context="paper", style="ticks", rc=_STYLE | {"svg.hashsalt": data})
        height = 1.2 + 0.24 * len(chart.models) if chart.kind == "dots" else 3.4
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        (_dots if chart.kind == "dots" else _points)(axes, chart, models)
        axes.set(title=chart.title + (f" ({chart.note})" if chart.note else ""), xlabel=chart.x_label, ylabel=chart.y_label)
        sns.despine(ax=axes)
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    drawing = _for_a_page(svg.getvalue(), f"{chart.title}. {chart.x_label}; {chart.y_label}")
    digests = (data, hashlib.sha256(drawing).hexdigest(), hashlib.sha256(pdf.getvalue()).hexdigest())
    head = "<!-- `bench leaderboard`: data {}, drawing {}, PDF {} -->".format(*digests).encode()
    return drawing.replace(b">", b">" + head, 1), pdf.getvalue()


def is_current(svg: bytes | None, chart: Chart, models: Sequence[str]) -> bool:
    """Whether an SVG shows this chart as this module draws it, and was not changed by hand."""
    found = _HEAD.search(svg or b"")
    if svg is None or found is None or found[1].decode() != _data(chart, models):
        return False
    return found[2].decode() == hashlib.sha256(svg.replace(found[0], b"", 1)).hexdigest()


def is_pdf_of(pdf: bytes | None, svg: bytes) -> bool:
    """Whether a PDF was drawn together with a current SVG."""
    found = _HEAD.search(svg)
    return pdf is not None and found is not None and found[3].decode() == hashlib.sha256(pdf).hexdigest()


def in_page(page: bytes, chart: Chart, models: Sequence[str]) -> bytes:
    """The current SVG of this chart that stands in a page; empty: none does."""
    found = re.search(
        rb"<svg[^>]*><!-- `bench leaderboard`: data " + _data(chart, models).encode() + rb".*?</svg>\n", page, re.S
    )
    return found[0] if found and is_current(found[0], chart, models) else b""


def _data(chart: Chart, models: Sequence[str]) -> str:
    source = Path(__file__).read_text(encoding="utf-8")
    return hashlib.sha256("\n".join([source, repr(chart), repr(list(models))]).encode("utf-8", "backslashreplace")).hexdigest()


def _says(role: str, model: str, words: str = "") -> str:
    """A ``gid`` for matplotlib to write down as an element's id, out of which ``_for_a_page`` makes attributes."""
    return json.dumps([role, model, words])


def _for_a_page(svg: bytes, label: str) -> bytes:
    """matplotlib's SVG as one element that several may stand in a page: no ids but those referred to, no style for all."""
    root = ElementTree.fromstring(svg)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round"}
    for child in root.findall(f"{{{_SVG}}}metadata") + root.findall(f"{{{_SVG}}}defs[{{{_SVG}}}style]"):
        root.remove(child)
    referred = set(re.findall(r"#(\w+)", svg.decode()))
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name in referred:
            element.set("id", name)
        elif name.startswith("["):
            role, model, words = json.loads(name)
            element.attrib |= {"class": role, "data-model": model}
            if words:
                title = ElementTree.Element(f"{{{_SVG}}}title")
                title.text = words
                element.insert(0, title)
        for key in element.attrib.keys() & {"d", "x", "y", "transform"}:  # in points: a hundredth is nothing to see
            element.set(
                key, re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}", " ".join(element.get(key, "").split()))
            )
        element.text, element.tail = (text and (text.strip() and text) for text in (element.text, element.tail))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode").encode() + b"\n"


def _mark(axes: Axes, mark: Mark, y: float, shade: str, shape: str = "o", size: float = 6.5) -> None:
    words = _says("mark", mark.model, mark.tooltip)
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
            axes.plot([m.x for m in marks], [m.y for m in marks], color=shade, zorder=1, gid=_says("line", model))
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
            part.set_gid(_says("entry", text.get_text()))


def _dots(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    """A row for each model; colours say what group a mark is of."""
    rows = {model: index for index, model in enumerate(chart.models)}
    for index, group in enumerate(dict.fromkeys(mark.group for mark in chart.marks)):
        shade = COLOURS[index % len(COLOURS)]
        for mark in (mark for mark in chart.marks if mark.group == group):
            row = rows[mark.model]
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [row, row], color=shade, zorder=1, gid=_says("bar", mark.model))
            _mark(axes, mark, row, shade)
        axes.lines[-1].set_label(group)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", color="0.93")
    for label in axes.get_yticklabels():
        label.set_gid(_says("name", label.get_text()))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
