"""The board's folder: ``leaderboard.html``, ``tables/*.csv``, ``*.tex``, ``figures/*.svg``, ``*.pdf``, and the list of all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from leaderboard.board.charts import figures
from leaderboard.board.charts.chart import Chart
from leaderboard.board.charts.measurement_charts import ChartGroup, chart_groups
from leaderboard.board.charts.svg import in_page, is_current, is_pdf_of
from leaderboard.board.charts.table_charts import charts_of
from leaderboard.board.export import latex_published, latex_table, models_csv, pairs_csv, published_csv
from leaderboard.board.front.matrix import build_matrix
from leaderboard.board.front.names import NamedTables, file_part, named_tables, unique
from leaderboard.board.front.shown import smoke_alone
from leaderboard.board.latex.narrow import narrow_matrix, narrow_table
from leaderboard.board.published import published_parts
from leaderboard.board.tables import Section, published_in
from leaderboard.reading.collection import Collection

LIST, PAGE = "files.txt", "leaderboard.html"
MOST_TABLES = 20  # with figures, those with most results: half a minute to draw them all
Reader = Callable[[str], bytes | None]


def folder_files(collection: Collection, sections: Sequence[Section], read: Reader, draw: bool) -> dict[str, bytes]:
    """Every file of the folder, by its path there, as the records give it.

    ``sections`` are those of the collection's runs; ``read`` gives what stands there now, or None. A figure that is current
    stays as it is, whichever version of matplotlib drew it; the others are drawn, or with ``draw`` False left empty.
    """
    from leaderboard.board.page.html import render_page  # jinja, which a board without a page does not need

    tables = named_tables(sections)
    measured: dict[str, ChartGroup] = {}
    for group in chart_groups(collection.without_altered(smoke=smoke_alone(sections))):
        measured[unique(file_part(group.name), [*tables, *measured])] = group
    published = published_parts(published_in(sections))
    files, drawn = _exports(tables), {}
    files |= {"tables/published.csv": published_csv().encode(), "tables/published.tex": latex_published(published).encode()}
    page = None if draw else read(PAGE) or b""
    shown: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    for name, chart in _charts(tables, measured):
        path = f"figures/{name}_{chart.name}"
        drawn[f"{path}.svg"], drawn[f"{path}.pdf"], svg = _figure(path, chart, read, page)
        shown[name][chart.name] = svg
    files[PAGE] = render_page(collection, sections, tables, measured, published, shown, files).encode(
        "utf-8", "backslashreplace"
    )
    files |= drawn
    files[LIST] = "".join(f"{path}\n" for path in sorted([*files, LIST])).encode()
    return dict(sorted(files.items()))


def listed_files(content: bytes | None) -> list[str]:
    """The paths in the list that a board left in its folder; only such as a board could have written."""
    ours = r"(tables/[A-Za-z0-9.+_-]+\.(csv|tex)|figures/[A-Za-z0-9.+_-]+\.(svg|pdf))"
    return [path for path in (content or b"").decode("utf-8", "replace").splitlines() if re.fullmatch(ours, path)]


def _exports(tables: NamedTables) -> dict[str, bytes]:
    files = {}
    for name, (section, table) in tables.items():
        files[f"tables/{name}.csv"] = models_csv(table).encode()
        files[f"tables/{name}.tex"] = latex_table(section, table, name).encode()
        if table.runs and not section.smoke:
            files[f"tables/{name}_narrow.tex"] = narrow_table(section, table, name).encode()
        if table.comparisons:
            files[f"tables/{name}_pairs.csv"] = pairs_csv(table).encode()
    matrix = build_matrix(tables)
    return files | ({"tables/matrix.tex": narrow_matrix(matrix, "matrix").encode()} if matrix and not matrix.smoke else {})


def _charts(tables: NamedTables, measured: Mapping[str, ChartGroup]) -> Iterator[tuple[str, Chart]]:
    """Every chart with the name of its table or measurement; none of smoke tests."""
    serious = [(section, table, name) for name, (section, table) in tables.items() if not section.smoke]
    for section, table, name in sorted(serious, key=lambda one: -len(one[1].runs))[:MOST_TABLES]:
        yield from ((name, chart) for chart in charts_of(table, section.protocol))
    for name, group in measured.items():
        yield from ((name, chart) for chart in group.charts if chart.worth_drawing)


def _figure(path: str, chart: Chart, read: Reader, page: bytes | None) -> tuple[bytes, bytes, bytes]:
    """The chart's SVG and PDF, and its SVG in the page.

    Where a ``page`` is given nothing is drawn: a file that is not current is empty, and the page may keep what it shows if that
    is current.
    """
    svg, pdf = read(f"{path}.svg"), read(f"{path}.pdf")
    current = svg if svg is not None and is_current(svg, chart) else b""
    shown = current or (in_page(page, chart) if page is not None else b"")
    if shown and pdf is not None and is_pdf_of(pdf, shown):
        return current, pdf, shown
    if page is not None:
        return current, b"", shown
    svg, pdf = figures.draw(chart)
    return svg, pdf, svg
