"""Names of tables, which their files and anchors have: of what is in a table, so that links to it last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from leaderboard.board.tables import Section, Table
from leaderboard.errors import one_line

NamedTables = Mapping[str, tuple[Section, Table]]


def named_tables(sections: Sequence[Section]) -> dict[str, tuple[Section, Table]]:
    """Every table by its name: protocol, data and task, and the recipe's digest where the protocol has several for the task."""
    tables: dict[str, tuple[Section, Table]] = {}
    for section in sections:
        for table in section.tables:
            parts = [section.protocol, section.variant, table.task, *([table.digest] if table.one_of_several else [])]
            tables[unique("_".join(map(file_part, parts)), tables)] = section, table
    return tables


def unique(wanted: str, taken: Iterable[str]) -> str:
    """A file name that no two share, whatever the case of letters."""
    lower = {name.lower() for name in taken}
    names = (wanted, *(f"{wanted}_{number}" for number in range(2, len(lower) + 2)))
    return next(name for name in names if name.lower() not in lower)


def file_part(text: str) -> str:
    """Any text as part of a file name: letters, digits and ``. + -``, at most 40 of them."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", one_line(text, 40)).strip(".") or "-"
