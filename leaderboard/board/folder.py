"""The board's folder: ``leaderboard.html``, ``tables/*.csv``, ``*.tex``, ``figures/*.svg``, ``*.pdf``, and the list of all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from leaderboard.board.charts import figures
from leaderboard.board.charts.charts import Chart, charts_of, coloured
from leaderboard.board.charts.measured import Theme, themes_of
from leaderboard.board.export import latex_table, models_csv, pairs_csv
from leaderboard.board.page.html import render_page
from leaderboard.board.tables import Section, Table
from leaderboard.errors import one_line
from leaderboard.reading.collection import Collection

LIST, PAGE = "files.txt", "leaderboard.html"
MOST_TABLES = 20  # with figures: those with most results
Reader = Callable[[str], bytes | None]


def folder_files(collection: Collection, sections: Sequence[Section], read: Reader, draw: bool) -> dict[str, bytes]:
    """Every file of the folder, by its path there, as the records give it.

    ``sections`` are those of the collection's runs; ``read`` gives what stands there now, or None. A figure that is current
    stays as it is, whichever version of matplotlib drew it; the others are drawn, or with ``draw`` False left empty.
    """
    tables: dict[str, tuple[Section, Table]] = {}
    themes: dict[str, Theme] = {}
    files: dict[str, bytes] = {}
    for section in sections:
        for table in section.tables:
            parts = [section.protocol, section.variant, table.task, *([table.digest] if table.one_of_several else [])]
            name = _unique("_".join(map(file_part, parts)), tables)
            tables[name] = section, table
            files[f"tables/{name}.csv"] = models_csv(table).encode()
            files[f"tables/{name}.tex"] = latex_table(section, table, name).encode()
            if table.comparisons:
                files[f"tables/{name}_pairs.csv"] = pairs_csv(table).encode()
    for theme in themes_of(collection):
        themes[_unique(file_part(theme.name), tables.keys() | themes.keys())] = theme
    shown: defaultdict[str, list[bytes]] = defaultdict(list)
    page = None if draw else read(PAGE) or b""
    drawn: dict[str, bytes] = {}
    for name, chart, models in _charts(tables, themes):
        path = f"figures/{name}_{chart.name}"
        drawn[f"{path}.svg"], drawn[f"{path}.pdf"], svg = _figure(path, chart, models, read, page)
        shown[name].append(svg)
    files[PAGE] = render_page(collection, tables, themes, shown, files).encode("utf-8", "backslashreplace")
    files |= drawn
    files[LIST] = "".join(f"{path}\n" for path in sorted([*files, LIST])).encode()
    return dict(sorted(files.items()))


def _figure(path: str, chart: Chart, models: Sequence[str], read: Reader, page: bytes | None) -> tuple[bytes, bytes, bytes]:
    """The chart's SVG and PDF, and what the page shows of it. Where a ``page`` is given nothing is drawn: what is not current
    is empty, and what the page shows may stay if that is current."""
    svg, pdf = read(f"{path}.svg"), read(f"{path}.pdf")
    current = svg if svg is not None and figures.is_current(svg, chart, models) else b""
    shown = current or (figures.in_page(page, chart, models) if page is not None else b"")
    if shown and pdf is not None and figures.is_pdf_of(pdf, shown):
        return current, pdf, shown
    if page is not None:
        return current, b"", shown
    svg, pdf = figures.draw(chart, models)
    return svg, pdf, svg


def left_over(listed: bytes | None, files: dict[str, bytes]) -> list[str]:
    """Paths that an earlier board listed and this one does not have; only such as a board could have written."""
    ours = r"(tables/[A-Za-z0-9.+_-]+\.(csv|tex)|figures/[A-Za-z0-9.+_-]+\.(svg|pdf))"
    lines = (listed or b"").decode("utf-8", "replace").splitlines()
    return [path for path in lines if re.fullmatch(ours, path) and path not in files]


def _unique(wanted: str, taken: Mapping[str, object] | set[str]) -> str:
    """A file name that every file system can hold and that no two share, whatever the case of letters."""
    lower = {name.lower() for name in taken}
    name, number = wanted, 1
    while name.lower() in lower:
        number += 1
        name = f"{wanted}_{number}"
    return name


def file_part(text: str) -> str:
    """Any text as part of a file name: letters, digits and ``. + -``, at most 40 of them."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", one_line(text, 40)).strip(".") or "-"


def _charts(
    tables: Mapping[str, tuple[Section, Table]], themes: Mapping[str, Theme]
) -> Iterator[tuple[str, Chart, Sequence[str]]]:
    """Every chart with the name of its table or theme and the models that have colours in it."""
    serious = [(table, name) for name, (section, table) in tables.items() if not section.smoke]
    for table, name in sorted(serious, key=lambda pair: -len(pair[0].runs))[:MOST_TABLES]:
        yield from ((name, chart, coloured(table)) for chart in charts_of(table))
    for name, theme in themes.items():
        yield from ((name, chart, sorted(chart.models)) for chart in theme.charts)
