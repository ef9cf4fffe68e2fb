"""The board as one web page that needs nothing else: no network, and no JavaScript to be read.

Figures are SVG drawn here rather than by plotly: its script alone is 4.8 MB in every version of a committed page, and shows
nothing where scripts do not run. A policy in the page forbids every request and every script but its own (by hash), so that no
text of a record could do anything even if it were not escaped; all are, by jinja.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leaderboard.board import markup
from leaderboard.board.charts import drawing
from leaderboard.board.charts.charts import Chart, charts_of, colour, coloured
from leaderboard.board.charts.measured import Theme
from leaderboard.board.columns import Column, columns_of
from leaderboard.board.pace import execution_label, hardware_label
from leaderboard.board.tables import Row, Section, Table
from leaderboard.board.uncertainty import plain_explanation
from leaderboard.errors import one_line
from leaderboard.reading.collection import Collection
from leaderboard.records.runs import RunResult

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Figure:
    """A drawn chart and what its colours mean."""

    title: str
    note: str
    svg: Markup
    legend: list[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """One table as the template needs it: ``files`` are (name, data URI) of its CSV and LaTeX."""

    section: Section
    table: Table
    name: str
    columns: list[Column]
    runs: dict[str, list[RunResult]]
    figures: list[Figure]
    legend: list[tuple[str, str]]
    files: list[tuple[str, str]]


def render_page(
    collection: Collection,
    sections: Sequence[Section],
    themes: Sequence[Theme],
    names: dict[tuple[int, int], str],
    files: dict[str, bytes],
) -> str:
    """The page. ``names[i, j]`` is the file name of table j of section i, ``files`` the board's tables by path."""
    tables = [
        _shown(section, table, names[i, j], files)
        for i, section in enumerate(sections)
        for j, table in enumerate(section.tables)
    ]
    drawn = [(theme, [_figure(chart, sorted(chart.models)) for chart in theme.charts]) for theme in themes]
    script = _read("page.js")
    return _environment().get_template("leaderboard.html").render(
        collection=collection,
        tables=tables,
        how_sure=plain_explanation(tuple(sections)),
        themes=[(theme, figures, _legend(theme.charts, figures)) for theme, figures in drawn],
        altered=[run for run in collection.runs if run.altered],
        unreadable=collection.unreadable,
        tasks=sorted({shown.table.task for shown in tables}),
        protocols=list(dict.fromkeys(shown.section.protocol for shown in tables)),
        hardware=sorted({one_line(p.hardware) for shown in tables for row in shown.table.rows for p in row.paces}),
        style=Markup(_read("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"plain": lambda text: one_line(text, 1000), "plural": markup.plural}
    environment.globals |= {"commit": _commit, "seeds": _seeds, "row_hardware": _hardware}
    environment.globals |= {"hardware_label": hardware_label, "execution_label": execution_label}
    return environment


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _shown(section: Section, table: Table, name: str, files: dict[str, bytes]) -> Shown:
    runs: defaultdict[str, list[RunResult]] = defaultdict(list)
    for run in sorted((*table.runs, *table.failures), key=lambda run: (run.realization, run.run_id)):
        runs[run.model].append(run)
    models = coloured(table)
    figures = [] if section.smoke else [_figure(chart, models) for chart in charts_of(table)]
    legend = [(model, colour(models, model)) for model in models] if figures else []
    return Shown(section, table, name, columns_of(table), runs, figures, legend, _data_uris(name, files))


def _figure(chart: Chart, models: Sequence[str]) -> Figure:
    return Figure(chart.title, chart.note, Markup(drawing.draw(chart, models)), drawing.groups_of(chart))


def _legend(charts: Sequence[Chart], figures: Sequence[Figure]) -> list[tuple[str, str]]:
    """Models and colours, where the colours do not mean something else already."""
    models = sorted({model for chart in charts for model in chart.models})
    return [] if any(figure.legend for figure in figures) else [(model, colour(models, model)) for model in models]


def _data_uris(name: str, files: dict[str, bytes]) -> list[tuple[str, str]]:
    kinds = {f"tables/{name}.csv": "text/csv", f"tables/{name}.tex": "text/x-tex", f"tables/{name}_pairs.csv": "text/csv"}
    return [
        (path.removeprefix("tables/"), f"data:{kind};base64,{base64.b64encode(files[path]).decode()}")
        for path, kind in kinds.items()
        if path in files
    ]


def _commit(run: RunResult) -> str:
    return run.code or "unknown"


def _seeds(run: RunResult) -> str:
    return ", ".join(f"{one_line(name, 60)} {seed}" for name, seed in run.seeds) or "none recorded"


def _hardware(row: Row, runs: dict[str, list[RunResult]]) -> str:
    """Everything that the row's runs, failed ones too, were on: what the page filters by, one a line."""
    names: dict[str, Any] = dict.fromkeys(one_line(hardware_label(run)) for run in runs.get(row.model, ()))
    return "\n".join(names)
