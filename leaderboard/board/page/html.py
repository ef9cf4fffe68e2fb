"""The board as one web page that needs nothing else: no network, and no JavaScript to be read.

Its figures are those of the folder, byte for byte. A policy in the page forbids every request and every script but its own (by
hash), so that no text of a record could do anything even if it were not escaped; all are, by jinja.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leaderboard.board import markup
from leaderboard.board.charts.measurement_charts import ChartGroup
from leaderboard.board.columns import PAGE, Column, columns_of, published_columns
from leaderboard.board.epoch_time import execution_label, hardware_label
from leaderboard.board.published import PublishedPart
from leaderboard.board.tables import Row, Section, Table
from leaderboard.board.uncertainty import plain_explanation
from leaderboard.errors import one_line
from leaderboard.reading.collection import Collection
from leaderboard.records.runs import RunResult

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class PageTable:
    """One table as the template needs it: ``files`` are (name, data URI) of its CSV and LaTeX."""

    section: Section
    table: Table
    columns: list[Column[Row]]
    runs: dict[str, list[RunResult]]
    figures: Markup
    files: list[tuple[str, str]]


def render_page(
    collection: Collection,
    tables: Mapping[str, tuple[Section, Table]],
    measured: Mapping[str, ChartGroup],
    published: Sequence[PublishedPart],
    figures: Mapping[str, Sequence[bytes]],
    files: Mapping[str, bytes],
) -> str:
    """The page. ``tables`` and ``measured`` by their names in paths, ``figures`` their SVGs, ``files`` the tables.

    ``published``: the numbers that stand in no row.
    """
    drawn = {name: Markup(b"".join(figures.get(name, ())).decode()) for name in (*tables, *measured)}
    shown = [_shown(section, table, drawn[name], _data_uris(name, files)) for name, (section, table) in tables.items()]
    script = _read("page.js")
    return _environment().get_template("leaderboard.html").render(
        collection=collection,
        tables=shown,
        uncertainty=plain_explanation(tuple(section for section, _ in tables.values())),
        measured=[(group, drawn[name]) for name, group in measured.items()],
        published=published,
        published_files=_data_uris("published", files),
        altered=[run for run in collection.runs if run.altered],
        unreadable=collection.unreadable,
        tasks=sorted({table.task for _, table in tables.values()}),
        protocols=list(dict.fromkeys(section.protocol for section, _ in tables.values())),
        hardware=sorted({one_line(p.hardware) for _, table in tables.values() for row in table.rows for p in row.epoch_times}),
        style=Markup(_read("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"plain": lambda text: one_line(text, 1000), "plural": markup.plural}
    environment.globals |= {"seeds": _seeds, "row_hardware": _hardware, "published_columns": published_columns}
    environment.globals |= {"hardware_label": hardware_label, "execution_label": execution_label}
    return environment


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _shown(section: Section, table: Table, figures: Markup, files: list[tuple[str, str]]) -> PageTable:
    runs: defaultdict[str, list[RunResult]] = defaultdict(list)
    for run in sorted((*table.runs, *table.failures), key=lambda run: (run.realization, run.run_id)):
        runs[run.model].append(run)
    return PageTable(section, table, columns_of(table.rows, PAGE), runs, figures, files)


def _data_uris(name: str, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    kinds = {f"tables/{name}.csv": "text/csv", f"tables/{name}.tex": "text/x-tex", f"tables/{name}_pairs.csv": "text/csv"}
    return [
        (path.removeprefix("tables/"), f"data:{kind};base64,{base64.b64encode(files[path]).decode()}")
        for path, kind in kinds.items()
        if path in files
    ]


def _seeds(run: RunResult) -> str:
    return ", ".join(f"{one_line(name, 60)} {seed}" for name, seed in run.seeds) or "none recorded"


def _hardware(row: Row, runs: dict[str, list[RunResult]]) -> str:
    """Everything that the row's runs, failed ones too, were on: what the page filters by, one a line."""
    names: dict[str, Any] = dict.fromkeys(one_line(hardware_label(run)) for run in runs.get(row.model, ()))
    return "\n".join(names)
