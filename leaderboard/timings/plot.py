"""The figure of the timings: each model's training step as a multiple of the plain CNN's, on every device.

A panel for each table, a group of lines for each model, a line for each device: a mark at the multiple of the medians, a bar
from quartile to quartile of the model's step, the number beside it, and the device's name where it comes first. Lines and
shapes tell devices apart without colours. The same timings give the same bytes with one version of matplotlib; a figure carries
a digest of what it shows (``shows``), for versions draw differently.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.board.charts.headless import headless
from leaderboard.errors import RecordError, one_line
from leaderboard.records.timing import quartiles
from leaderboard.timings.tables import PLAIN, Cell, DeviceColumn, TimingTable
from leaderboard.timings.versions import mark, versions_told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES: dict[str, dict[str, str | None]] = {  # and what a file says of itself: nothing of when and by what
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_SAYS = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}  # the digest
_WIDTH, _LINE, _GAP = 560.0, 11.0, 6.0  # points: of the figure, from line to line, between two models
_ABOVE, _BELOW, _SIDE = 16.0, 34.0, 8.0  # points: to a panel's subtitle or axis, for its axis, at the figure's edges
_DPI = 144
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_SHADES = ("#000000", "#0072b2", "#d55e00", "#6f6f6f", "#009e73", "#8f4a78", "#7a6a00")  # told apart by colour-blind too
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # TrueType: Type 3 fonts are refused by many a publisher
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7.5,
}


@dataclass(frozen=True)
class _Mark:
    line: int
    model: int
    device: int
    low: float
    ratio: float
    high: float
    words: str
    other_code: bool


@dataclass(frozen=True)
class _Panel:
    """``marks`` lie on lines counted from above; ``models`` are the groups of as many lines as there are columns."""

    title: str
    notes: tuple[str, ...]
    models: tuple[str, ...]
    lines: int
    marks: tuple[_Mark, ...]

    def y(self, mark: _Mark) -> float:
        """Points below the panel's upper edge."""
        return _GAP + _LINE / 2 + mark.line * _LINE + mark.model * _GAP

    @property
    def height(self) -> float:
        """Points, without what stands above and below."""
        return self.lines * _LINE + (len(self.models) + 1) * _GAP


def check_suffix(path: Path) -> None:
    """Raises RecordError: a figure cannot be drawn into a file of this kind."""
    if path.suffix not in SUFFIXES:
        raise RecordError(f"a figure is {', '.join(SUFFIXES)}, and {one_line(path)!r} is none of these; end its name in one")


def ratio_figure(tables: Sequence[TimingTable], suffix: str = ".png") -> bytes:
    """The figure as PNG, SVG or PDF. Raises RecordError: there is nothing to draw."""
    panels = _panels(tables)
    if not panels:
        raise RecordError(
            f"there is nothing to draw: no device has timed {PLAIN} and another model; time them with: bench time --all"
        )
    digest, target = _digest(panels), io.BytesIO()
    with headless(), warnings.catch_warnings():
        import matplotlib as mpl

        warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks
        style: Any = _STYLE | {"svg.hashsalt": digest}
        with mpl.rc_context(style):
            said = SUFFIXES[suffix] | {_SAYS[suffix]: digest}
            draw(panels).savefig(target, format=suffix[1:], dpi=_DPI, metadata=said)
    return target.getvalue()


def shows(figure: bytes, tables: Sequence[TimingTable]) -> bool:
    """Whether a figure was drawn of these tables, by this code."""
    return _digest(_panels(tables)).encode() in figure


def _digest(panels: Sequence[_Panel]) -> str:
    source = Path(__file__).read_text(encoding="utf-8")
    return hashlib.sha256(f"{source}{panels!r}".encode("utf-8", "backslashreplace")).hexdigest()


def _panels(tables: Sequence[TimingTable]) -> list[_Panel]:
    columns = sorted({column for table in tables for column in table.columns})
    names = list(dict.fromkeys((column.device, column.torch) for column in columns))
    return [panel for table in tables if (panel := _panel(table, names)).marks]


def _panel(table: TimingTable, devices: list[tuple[str, str]]) -> _Panel:
    """Models from above by their multiple on the first device that has one."""
    drawn = {where: cell for where, cell in table.cells.items() if where[0] != PLAIN and cell.ratio is not None}

    def place(model: str) -> tuple[int, float]:
        index, column = next((i, column) for i, column in enumerate(table.columns) if (model, column) in drawn)
        return index, drawn[model, column].ratio or 0

    models = sorted({model for model, _ in drawn}, key=lambda model: (place(model)[1], model))
    marks, named, line = [], set(), 0
    for row, model in enumerate(models):
        for column in table.columns:
            if cell := drawn.get((model, column)):
                name = "" if column in named else f"   {_name(table, column)}"
                named.add(column)
                marks.append(_mark(table, cell, line, row, devices.index((column.device, column.torch)), name))
                line += 1
    settings = {f"batch {column.batch_size}, {column.precision}" for column in table.columns}
    title = f"{one_line(table.task)}, {settings.pop()}" if len(settings) == 1 else one_line(table.task)
    notes = versions_told(table)
    if notes:
        notes = ["versions of the layers, whose multiples do not compare:", *notes]
    return _Panel(title, tuple(notes), tuple(models), line, tuple(marks))


def _name(table: TimingTable, column: DeviceColumn) -> str:
    parts = [one_line(column.device, 60)]
    if len({other.torch for other in table.columns}) > 1:
        parts.append(f"torch {one_line(column.torch, 20)}")
    if len({(other.batch_size, other.precision) for other in table.columns}) > 1:
        parts.append(f"batch {column.batch_size}, {column.precision}")
    return ", ".join(parts)


def _mark(table: TimingTable, cell: Cell, line: int, row: int, device: int, name: str) -> _Mark:
    assert cell.ratio is not None
    found = quartiles(cell.timing.step_seconds)
    plain = found.median / cell.ratio
    words = f"{cell.ratio:.2f}{mark(table, cell.timing)}{' (other code)' if cell.other_code else ''}{name}"
    return _Mark(line, row, device, found.low / plain, cell.ratio, found.high / plain, words, cell.other_code)


def draw(panels: Sequence[_Panel]) -> Figure:
    """The figure, under the style of this file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tops = [_ABOVE + _LINE * (1 + len(panel.notes)) for panel in panels]
    total = sum(top + panel.height + _BELOW for top, panel in zip(tops, panels, strict=True))
    figure = Figure(figsize=(_WIDTH / 72, total / 72), dpi=_DPI)
    FigureCanvasAgg(figure)  # it measures texts
    left = 2 * _SIDE + max(_width(figure, _short(model)) for panel in panels for model in panel.models)
    used = 0.0
    for top, panel in zip(tops, panels, strict=True):
        used += top
        box = (left / _WIDTH, 1 - (used + panel.height) / total, 1 - (left + _SIDE) / _WIDTH, panel.height / total)
        _draw_panel(figure, figure.add_axes(box), panel, _WIDTH - left - _SIDE)
        for index, (text, weight) in enumerate([(panel.title, "bold"), *((note, "normal") for note in panel.notes)]):
            y = 1 - (used - _LINE * (len(panel.notes) - index) - _LINE / 2) / total
            figure.text(_SIDE / _WIDTH, y, text, va="center", weight=weight)
        used += panel.height + _BELOW
    return figure


def _draw_panel(figure: Figure, axes: Axes, panel: _Panel, width: float) -> None:
    low = math.log2(min(1.0, *(each.low for each in panel.marks))) - 0.15
    # As far as the longest words need: what lies at x takes (x - low) / (high - low) of the width, and the words the rest.
    needed = [(math.log2(each.high) - low) / (1 - (_width(figure, each.words) + 12) / width) for each in panel.marks]
    high = low + max(needed)
    axes.set(xlim=(2**low, 2**high), xscale="log", ylim=(panel.height, 0), xlabel="step, as a multiple of the plain CNN's")
    axes.set_xlim(2**low, 2**high)
    axes.set_xticks([2.0**power for power in range(math.ceil(low), math.ceil(high))])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xticks([], minor=True)
    axes.axvline(1, color="0.7", linewidth=1, zorder=0)
    middles: dict[int, list[float]] = {}
    for each in panel.marks:
        y, shade = panel.y(each), _SHADES[each.device % len(_SHADES)]
        middles.setdefault(each.model, []).append(y)
        axes.plot([each.low, each.high], [y, y], color=shade, linewidth=2.4, alpha=0.5, solid_capstyle="butt")
        inside = "white" if each.other_code else shade
        axes.plot(each.ratio, y, _MARKERS[each.device % len(_MARKERS)], color=shade, markerfacecolor=inside, markersize=4.5)
        beside: Any = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
        axes.annotate(each.words, (each.high, y), bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, **beside)
    axes.set_yticks([sum(ys) / len(ys) for ys in middles.values()], [_short(model) for model in panel.models])
    for upper, lower in zip(list(middles.values()), list(middles.values())[1:], strict=False):
        axes.axhline((upper[-1] + lower[0]) / 2, color="0.93", linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _short(model: str) -> str:
    return one_line(model, 40)


def _width(figure: Figure, words: str) -> float:
    """Of a text, in points."""
    text = figure.text(0, 0, words)
    extent = text.get_window_extent()
    text.remove()
    return float(extent.width) * 72 / figure.dpi
