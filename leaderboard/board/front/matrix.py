"""Models x tasks under one protocol: ours and the published number of each, and how much of it is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.board.front.names import NamedTables
from leaderboard.board.published import PublishedResult, load_published
from leaderboard.board.tables import Row, Section, Table

REALIZATIONS = 6  # of a cell without runs: what the published protocol asks for
PAPER = "paper"  # the protocol whose models are those of the SESN paper's tables, trained here or not

Named = tuple[str, Section, Table]  # a table under its name


@dataclass(frozen=True)
class Cell:
    """A model on a task: its ``row`` here, in the table of the name ``table``, and what was published. Any may be missing."""

    table: str = ""
    row: Row | None = None
    published: PublishedResult | None = None

    @property
    def done(self) -> int:
        """Runs with a result."""
        return self.row.summary.n if self.row and self.row.summary else 0

    @property
    def wanted(self) -> int:
        """Runs that make it whole."""
        if self.row is None:
            return REALIZATIONS if self.published else 0
        return max(self.done, self.row.expected or 0)


@dataclass(frozen=True)
class Matrix:
    """``rows``: each model with a cell for each of ``tasks``. ``variants`` are of data, ``recipes`` those shown of several."""

    protocol: str
    smoke: bool
    variants: tuple[str, ...]
    tasks: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    recipes: tuple[tuple[str, str], ...]

    @property
    def cells(self) -> list[Cell]:
        """All of them."""
        return [cell for _, cells in self.rows for cell in cells]

    @property
    def done(self) -> int:
        """Runs with a result, of ``wanted``."""
        return sum(cell.done for cell in self.cells)

    @property
    def wanted(self) -> int:
        """Runs that make the matrix whole."""
        return sum(cell.wanted for cell in self.cells)


def build_matrix(tables: NamedTables, tasks: Sequence[str] = ()) -> Matrix | None:
    """The matrix of one protocol, ``paper`` if it has results, else the one with most; None: no results.

    ``tasks``: these alone; by default those that have a table or a published number. Of several data variants and recipes the
    one with most results is shown, never a mixture: one variant for all tasks of a data set.
    """
    protocols: defaultdict[tuple[bool, bool, str], list[Named]] = defaultdict(list)
    for name, (section, table) in tables.items():
        if table.runs and (not tasks or table.task in tasks):
            protocols[section.smoke, section.protocol != PAPER, section.protocol].append((name, section, table))
    if not protocols:
        return None
    smoke, other, protocol = best = min(protocols, key=lambda key: (*key[:2], -_results(protocols[key]), key[2]))
    shown = _one_a_task(protocols[best])
    numbers = () if other or smoke else load_published()
    known = {(p.model, p.task): p for p in numbers if p.kind == "paper" and p.model and p.task}
    columns = tuple(tasks) or tuple(dict.fromkeys([task for _, task in known] + sorted(shown)))
    named = [model for model, task in known if task in columns]
    models = dict.fromkeys(named + sorted(row.model for _, _, table in shown.values() for row in table.rows))
    cells = {model: tuple(_cell(model, shown.get(task), known.get((model, task))) for task in columns) for model in models}
    return Matrix(
        protocol,
        smoke,
        tuple(sorted({section.variant for _, section, _ in shown.values()})),
        columns,
        tuple(cells.items()),
        tuple((task, table.digest) for task, (_, _, table) in sorted(shown.items()) if table.one_of_several),
    )


def _results(tables: Iterable[Named]) -> int:
    return sum(len(table.runs) for _, _, table in tables)


def _one_a_task(tables: Sequence[Named]) -> dict[str, Named]:
    """By task the table shown of it."""
    variants: defaultdict[tuple[str, str], list[Named]] = defaultdict(list)
    for named in tables:
        variants[_data_set(named), named[1].variant].append(named)
    shown: dict[str, Named] = {}
    for (data_set, _), its in sorted(variants.items(), key=lambda item: (-_results(item[1]), item[0])):
        if data_set not in map(_data_set, shown.values()):
            for named in sorted(its, key=lambda one: (-len(one[2].runs), one[2].digest)):
                shown.setdefault(named[2].task, named)
    return shown


def _data_set(named: Named) -> str:
    return named[2].task.rpartition("-")[0] or named[2].task  # mnist-scale of mnist-scale-28+


def _cell(model: str, named: Named | None, published: PublishedResult | None) -> Cell:
    row = next((row for row in named[2].rows if row.model == model), None) if named else None
    return Cell(named[0] if named and row else "", row, row.published if row else published)
