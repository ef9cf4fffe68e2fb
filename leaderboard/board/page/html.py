"""The board as one web page that needs nothing else: no network, and no JavaScript to be read.

Its figures are those of the folder, byte for byte. A policy in the page forbids every request and every script but its own (by
hash), so that no text of a record could do anything even if it were not escaped; all are, by jinja. Links lead elsewhere only
where a reader follows them.
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
from leaderboard.board.front import about
from leaderboard.board.front.matrix import Matrix, build_matrix
from leaderboard.board.front.names import NamedTables
from leaderboard.board.front.shown import left_out, records_shown, smoke_alone
from leaderboard.board.papers import named_in, paper_of
from leaderboard.board.published import PublishedPart
from leaderboard.board.tables import Row, Section, Table
from leaderboard.board.uncertainty import plain_explanation
from leaderboard.errors import one_line
from leaderboard.reading.collection import Collection
from leaderboard.records.runs import RunResult

_HERE = Path(__file__).parent
IN_FRONT = "errors"  # the chart that stands with the matrix, of its tables
Drawn = Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True)
class PageTable:
    """One table as the template needs it, its ``name`` also its anchor; ``files`` are (name, data URI) of its CSV and LaTeX."""

    name: str
    section: Section
    table: Table
    columns: list[Column[Row]]
    runs: dict[str, list[RunResult]]
    figures: Markup
    files: list[tuple[str, str]]


def render_page(
    collection: Collection,
    sections: Sequence[Section],
    tables: NamedTables,
    measured: Mapping[str, ChartGroup],
    published: Sequence[PublishedPart],
    figures: Drawn,
    files: Mapping[str, bytes],
) -> str:
    """The page of ``sections``.

    Their ``tables`` and what was ``measured`` by their names in paths, ``figures`` their SVGs by chart, ``files`` the tables;
    ``published``: the numbers that stand in no row.
    """
    matrix = build_matrix(tables)
    front = [name for name in _names_of(matrix) if IN_FRONT in figures.get(name, {})]
    drawn = {name: _joined(figures.get(name, {}), {IN_FRONT} if name in front else set()) for name in (*tables, *measured)}
    shown = [_shown(name, *tables[name], drawn[name], _data_uris(name, files)) for name in tables]
    script = _read("page.js")
    return _environment(collection).get_template("leaderboard.html").render(
        about=about,
        state=about.state(sections),
        count=records_shown(collection, sections),
        smoke=smoke_alone(sections),
        left_out=left_out(collection, sections),
        matrix=matrix,
        front=[(name, Markup(figures[name][IN_FRONT].decode())) for name in front],
        tables=shown,
        uncertainty=plain_explanation(tuple(sections)),
        measured=[(name, group, drawn[name]) for name, group in measured.items()],
        published=published,
        published_files=_data_uris("published", files),
        altered=[run for run in collection.runs if run.altered],
        unreadable=collection.unreadable,
        notes=collection.notes,
        tasks=sorted({table.task for _, table in tables.values()}),
        protocols=list(dict.fromkeys(section.protocol for section in sections)),
        hardware=sorted({one_line(p.hardware) for _, table in tables.values() for row in table.rows for p in row.epoch_times}),
        style=Markup(_read("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip


def _environment(collection: Collection) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"plain": lambda text: one_line(text, 1000), "plural": markup.plural, "interval": markup.interval}
    environment.globals |= {"seeds": _seeds, "row_hardware": _hardware, "published_columns": published_columns}
    environment.globals |= {"hardware_label": hardware_label, "execution_label": execution_label, "paper_of": paper_of}
    environment.globals |= {"named_in": named_in, "mean_std": markup.mean_std, "count_of": markup.count_of}
    environment.globals["repeats"] = lambda run: (
        collection.repeats.get(run.run_id, ()) + collection.disputes.get(run.run_id, ())
    )
    return environment


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _names_of(matrix: Matrix | None) -> list[str]:
    """The tables that the matrix is made of, in its order."""
    columns = zip(*(cells for _, cells in matrix.rows), strict=True) if matrix else ()
    return list(dict.fromkeys(cell.table for column in columns for cell in column if cell.table))


def _joined(figures: Mapping[str, bytes], without: set[str]) -> Markup:
    return Markup(b"".join(svg for chart, svg in figures.items() if chart not in without).decode())


def _shown(name: str, section: Section, table: Table, figures: Markup, files: list[tuple[str, str]]) -> PageTable:
    runs: defaultdict[str, list[RunResult]] = defaultdict(list)
    for run in sorted((*table.runs, *table.failures), key=lambda run: (run.realization, run.run_id)):
        runs[run.model].append(run)
    return PageTable(name, section, table, columns_of(table.rows, PAGE), runs, figures, files)


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
