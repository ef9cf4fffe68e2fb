"""The board's folder: ``leaderboard.html``, ``tables/*.csv``, ``*.tex``, ``figures/*.svg``, ``*.pdf``, and the list of all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from leaderboard.board.charts import figures
from leaderboard.board.charts.chart import Chart
from leaderboard.board.charts.measurement_charts import ChartGroup, chart_groups
from leaderboard.board.charts.svg import in_page, is_current, is_pdf_of
from leaderboard.board.charts.table_charts import charts_of, coloured_models
from leaderboard.board.export import latex_published, latex_table, models_csv, pairs_csv, published_csv
from leaderboard.board.published import published_parts
from leaderboard.board.tables import Section, Table, published_in
from leaderboard.errors import one_line
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

    tables: dict[str, tuple[Section, Table]] = {}
    for section in sections:
        for table in section.tables:
            parts = [section.protocol, section.variant, table.task, *([table.digest] if table.one_of_several else [])]
            tables[_unique("_".join(map(file_part, parts)), tables)] = section, table
    measured: dict[str, ChartGroup] = {}
    for group in chart_groups(collection):
        measured[_unique(file_part(group.name), [*tables, *measured])] = group
    published = published_parts(published_in(sections))
    files, drawn = _exports(tables), {}
    files |= {"tables/published.csv": published_csv().encode(), "tables/published.tex": latex_published(published).encode()}
    page = None if draw else read(PAGE) or b""
    shown: defaultdict[str, list[bytes]] = defaultdict(list)
    for name, chart, models in _charts(tables, measured):
        path = f"figures/{name}_{chart.name}"
        drawn[f"{path}.svg"], drawn[f"{path}.pdf"], svg = _figure(path, chart, models, read, page)
        shown[name].append(svg)
    files[PAGE] = render_page(collection, tables, measured, published, shown, files).encode("utf-8", "backslashreplace")
    files |= drawn
    files[LIST] = "".join(f"{path}\n" for path in sorted([*files, LIST])).encode()
    return dict(sorted(files.items()))


def listed_files(content: bytes | None) -> list[str]:
    """The paths in the list that a board left in its folder; only such as a board could have written."""
    ours = r"(tables/[A-Za-z0-9.+_-]+\.(csv|tex)|figures/[A-Za-z0-9.+_-]+\.(svg|pdf))"
    return [path for path in (content or b"").decode("utf-8", "replace").splitlines() if re.fullmatch(ours, path)]


def _exports(tables: Mapping[str, tuple[Section, Table]]) -> dict[str, bytes]:
    files = {}
    for name, (section, table) in tables.items():
        files[f"tables/{name}.csv"] = models_csv(table).encode()
        files[f"tables/{name}.tex"] = latex_table(section, table, name).encode()
        if table.comparisons:
            files[f"tables/{name}_pairs.csv"] = pairs_csv(table).encode()
    return files


def _charts(
    tables: Mapping[str, tuple[Section, Table]], measured: Mapping[str, ChartGroup]
) -> Iterator[tuple[str, Chart, Sequence[str]]]:
    """Every chart with the name of its table or measurement and the models that have colours in it."""
    serious = [(table, name) for name, (section, table) in tables.items() if not section.smoke]
    for table, name in sorted(serious, key=lambda pair: -len(pair[0].runs))[:MOST_TABLES]:
        yield from ((name, chart, coloured_models(table)) for chart in charts_of(table))
    for name, group in measured.items():
        yield from ((name, chart, sorted(chart.models)) for chart in group.charts)


def _figure(path: str, chart: Chart, models: Sequence[str], read: Reader, page: bytes | None) -> tuple[bytes, bytes, bytes]:
    """The chart's SVG and PDF, and its SVG in the page.

    Where a ``page`` is given nothing is drawn: a file that is not current is empty, and the page may keep what it shows if that
    is current.
    """
    svg, pdf = read(f"{path}.svg"), read(f"{path}.pdf")
    current = svg if svg is not None and is_current(svg, chart, models) else b""
    shown = current or (in_page(page, chart, models) if page is not None else b"")
    if shown and pdf is not None and is_pdf_of(pdf, shown):
        return current, pdf, shown
    if page is not None:
        return current, b"", shown
    svg, pdf = figures.draw(chart, models)
    return svg, pdf, svg


def _unique(wanted: str, taken: Iterable[str]) -> str:
    """A file name that no two share, whatever the case of letters."""
    lower = {name.lower() for name in taken}
    names = (wanted, *(f"{wanted}_{number}" for number in range(2, len(lower) + 2)))
    return next(name for name in names if name.lower() not in lower)


def file_part(text: str) -> str:
    """Any text as part of a file name: letters, digits and ``. + -``, at most 40 of them."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", one_line(text, 40)).strip(".") or "-"
