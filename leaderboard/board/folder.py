"""The board's folder: ``leaderboard.html``, ``tables/*.csv`` and ``*.tex``, ``figures/*.svg``, and the list of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from leaderboard.board.charts import plots
from leaderboard.board.charts.charts import Chart, charts_of, coloured
from leaderboard.board.charts.measured import Theme, themes_of
from leaderboard.board.charts.no_window import no_window
from leaderboard.board.csv_tables import models_csv, pairs_csv
from leaderboard.board.html import render_page
from leaderboard.board.latex import latex_table
from leaderboard.board.tables import Section, Table
from leaderboard.errors import one_line
from leaderboard.reading.collection import Collection

LIST = "files.txt"
MOST_TABLES = 6  # with figures as files: those with most results. The page has figures of all
Drawer = Callable[[bytes | None, Chart, Sequence[str]], bytes]


def folder_files(
    collection: Collection, sections: Sequence[Section], read: Callable[[str], bytes | None], drawer: Drawer | None = None
) -> dict[str, bytes]:
    """Every file of the folder, by its path there, as the records give it.

    ``sections`` are those of the collection's runs; ``read`` gives what stands there now, or None. A figure that is current
    stays as it is, whichever version of matplotlib drew it; ``drawer`` draws the others (default: charts.plots).
    """
    names = _names(sections)
    files: dict[str, bytes] = {}
    for (i, j), name in names.items():
        section, table = sections[i], sections[i].tables[j]
        files[f"tables/{name}.csv"] = models_csv(table).encode()
        files[f"tables/{name}.tex"] = latex_table(section, table, name).encode()
        if table.comparisons:
            files[f"tables/{name}_pairs.csv"] = pairs_csv(table).encode()
    themes = themes_of(collection)
    page = render_page(collection, sections, themes, names, files).encode("utf-8", "backslashreplace")
    for path, (chart, models) in _figures(sections, names, themes).items():
        files[path] = (drawer or redraw)(read(path), chart, models)
    files["leaderboard.html"] = page
    files[LIST] = "".join(f"{path}\n" for path in sorted([*files, LIST])).encode()
    return dict(sorted(files.items()))


def redraw(present: bytes | None, chart: Chart, models: Sequence[str]) -> bytes:
    """What is there if it is current, else a new drawing."""
    if present is not None and plots.is_current(present, chart, models):
        return present
    with no_window():
        return plots.draw(chart, models)


def mark_stale(present: bytes | None, chart: Chart, models: Sequence[str]) -> bytes:
    """What is there if it is current, else nothing: for a check, which draws nothing."""
    return present if present is not None and plots.is_current(present, chart, models) else b""


def left_over(listed: bytes | None, files: dict[str, bytes]) -> list[str]:
    """Paths that an earlier board listed and this one does not have; only such as a board could have written."""
    ours = r"(tables/[A-Za-z0-9.+_-]+\.(csv|tex)|figures/[A-Za-z0-9.+_-]+\.svg)"
    lines = (listed or b"").decode("utf-8", "replace").splitlines()
    return [path for path in lines if re.fullmatch(ours, path) and path not in files]


def _names(sections: Sequence[Section]) -> dict[tuple[int, int], str]:
    """A file name for each table, that every file system can hold and that no two share, whatever the case of letters."""
    names: dict[tuple[int, int], str] = {}
    taken: set[str] = set()
    for i, section in enumerate(sections):
        for j, table in enumerate(section.tables):
            wanted = _name(section, table)
            name, number = wanted, 1
            while name.lower() in taken:
                number += 1
                name = f"{wanted}_{number}"
            taken.add(name.lower())
            names[i, j] = name
    return names


def _name(section: Section, table: Table) -> str:
    parts = [section.protocol, section.variant, table.task, *([table.digest] if table.one_of_several else [])]
    return "_".join(file_part(part) for part in parts)


def file_part(text: str) -> str:
    """Any text as part of a file name: letters, digits and ``. + -``, at most 40 of them."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", one_line(text, 40)).strip(".") or "-"


def _figures(
    sections: Sequence[Section], names: dict[tuple[int, int], str], themes: Sequence[Theme]
) -> dict[str, tuple[Chart, Sequence[str]]]:
    tables = [(sections[i].tables[j], name) for (i, j), name in names.items() if not sections[i].smoke]
    tables.sort(key=lambda pair: -len(pair[0].runs))
    figures: dict[str, tuple[Chart, Sequence[str]]] = {}
    for table, name in tables[:MOST_TABLES]:
        figures |= {f"figures/{name}_{chart.name}.svg": (chart, coloured(table)) for chart in charts_of(table)}
    for theme in themes:
        for chart in theme.charts:
            path = wanted = f"figures/{file_part(theme.name)}_{chart.name}"
            number = 1
            while f"{path}.svg" in figures:
                number += 1
                path = f"{wanted}_{number}"
            figures[f"{path}.svg"] = (chart, sorted(chart.models))
    return figures
