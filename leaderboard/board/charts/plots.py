"""Charts as SVG files, drawn by seaborn: the same bytes for the same chart and the same versions of matplotlib and seaborn.

Other versions give other bytes. A file therefore begins with two digests: of its chart together with this source file, and of
its own drawing. ``is_current`` compares these, so that a check neither draws anything nor depends on what is installed.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.board.charts.charts import OTHERS, Chart, Mark, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEAD = re.compile(rb"<!-- `bench leaderboard`: data ([0-9a-f]{64}), drawing ([0-9a-f]{64}) -->\n")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "p")
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "scalebench",  # else ids are drawn by chance
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.unicode_minus": True,
    "legend.frameon": False,
}


def draw(chart: Chart, models: Sequence[str]) -> bytes:
    """The chart as an SVG file; ``models`` are those with colours of their own."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn by the reader's
        sns.set_theme(context="paper", style="ticks", rc=_STYLE)
        height = 1.2 + 0.24 * len(chart.models) if chart.kind == "rows" else 3.4
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        {"front": _front, "lines": _lines, "rows": _rows}[chart.kind](axes, chart, models)
        axes.set(title=chart.title + (f" ({chart.note})" if chart.note else ""), xlabel=chart.x_label, ylabel=chart.y_label)
        sns.despine(ax=axes)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _sealed(file.getvalue(), chart, models)


def is_current(content: bytes | None, chart: Chart, models: Sequence[str]) -> bool:
    """Whether the file shows this chart as this module draws it, and was not changed by hand."""
    found = _HEAD.search(content or b"")
    if content is None or found is None:
        return False
    rest = content.replace(found.group(0), b"", 1)
    return found.group(1).decode() == _data(chart, models) and found.group(2).decode() == hashlib.sha256(rest).hexdigest()


def _sealed(svg: bytes, chart: Chart, models: Sequence[str]) -> bytes:
    declaration, _, rest = svg.replace(b"\r\n", b"\n").partition(b"\n")
    drawing = hashlib.sha256(declaration + b"\n" + rest).hexdigest()
    head = f"<!-- `bench leaderboard`: data {_data(chart, models)}, drawing {drawing} -->\n"
    return declaration + b"\n" + head.encode() + rest


def _data(chart: Chart, models: Sequence[str]) -> str:
    source = Path(__file__).read_text(encoding="utf-8")
    return hashlib.sha256("\n".join([source, repr(chart), repr(list(models))]).encode("utf-8", "backslashreplace")).hexdigest()


def _frame(marks: Sequence[Mark]) -> Any:
    import pandas as pd

    return pd.DataFrame([vars(mark) for mark in marks])


def _looks(chart: Chart, models: Sequence[str]) -> dict[str, Any]:
    """Seaborn's words for: a colour and a marker for each model."""
    named = [model for model in chart.models if model in models]
    palette = {model: colour(models, model) for model in chart.models}
    markers = {model: _MARKERS[models.index(model) % len(_MARKERS)] if model in models else "o" for model in chart.models}
    order = [*named, *(model for model in chart.models if model not in models)]
    return {"hue": "model", "style": "model", "hue_order": order, "style_order": order, "palette": palette, "markers": markers}


def _legend(axes: Axes, models: Sequence[str]) -> None:
    """Beside the axes, with the models that have colours of their own."""
    pairs = [(h, label) for h, label in zip(*axes.get_legend_handles_labels(), strict=True) if label in models]
    if axes.legend_ is not None:
        axes.legend_.remove()
    axes.legend(*zip(*pairs, strict=True), loc="center left", bbox_to_anchor=(1.01, 0.5))


def _front(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    import seaborn as sns
    from matplotlib.ticker import StrMethodFormatter

    front = sorted((mark.x, mark.y) for mark in chart.marks if mark.group == "front")
    axes.step(*zip(*front, strict=True), where="post", color=OTHERS, linestyle="--", zorder=0, label="_front")
    sns.scatterplot(_frame(chart.marks), x="x", y="y", ax=axes, s=45, **_looks(chart, models))
    if chart.log_x:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(StrMethodFormatter("{x:,g}") if chart.log_x else axes.xaxis.get_minor_formatter())
    _legend(axes, models)


def _lines(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    import seaborn as sns
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    if chart.span:
        axes.axvspan(*chart.span, color="0.93", zorder=0)
    sns.lineplot(_frame(chart.marks), x="x", y="y", ax=axes, errorbar=None, dashes=False, **_looks(chart, models))
    if chart.log_x:
        axes.set_xscale("log")
        axes.set_xticks(sorted({mark.x for mark in chart.marks}))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _legend(axes, models)


def _rows(axes: Axes, chart: Chart, models: Sequence[str]) -> None:
    import seaborn as sns

    groups = list(dict.fromkeys(mark.group for mark in chart.marks))
    rows = {model: index for index, model in enumerate(chart.models)}
    palette = sns.color_palette("colorblind", len(groups))
    for group, shade in zip(groups, palette, strict=True):
        marks = [mark for mark in chart.marks if mark.group == group]
        for mark in marks:
            if mark.low is not None and mark.high is not None:
                axes.hlines(rows[mark.model], mark.low, mark.high, color=shade, zorder=1)
        sns.scatterplot(x=[m.x for m in marks], y=[rows[m.model] for m in marks], ax=axes, color=shade, s=45, label=group)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", color="0.93")
    _legend(axes, groups)
