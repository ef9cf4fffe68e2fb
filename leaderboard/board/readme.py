"""The README's table: one glance at the four MNIST-scale tasks, from one protocol on one data variant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaderboard.board import markup
from leaderboard.board.markup import HOW_TO_BEGIN, NOTHING, SMOKE_BANNER, code
from leaderboard.board.tables import Row, Section, Table, build_sections
from leaderboard.reading.collection import Source, collect

MNIST_SCALE_TASKS = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")


def top_rows(source: Source) -> str:
    """A compact table, models by name against the MNIST-scale tasks; error in percent, mean ± sample std.

    Taken from one section of the board: ``paper`` if it has results, else the protocol and data variant with most, and
    a smoke test, labelled as one, only when there is nothing else. Raises RecordError as ``build_markdown`` does.
    """
    return render_top(build_sections(collect(source).runs))


def render_top(sections: Iterable[Section]) -> str:
    """``top_rows`` of sections built before."""
    best = min(sections, key=_preference, default=None)
    if best is None or not _result_count(best):
        return f"There are no MNIST-scale results yet. {HOW_TO_BEGIN}\n"
    tables = [_largest([table for table in best.tables if table.task == task]) for task in MNIST_SCALE_TASKS]
    by_task = [{row.model: row for row in table.rows} if table else {} for table in tables]
    rows = [[code(model), *(_cell(rows.get(model)) for rows in by_task)] for model in sorted(set().union(*by_task))]
    lines = [SMOKE_BANNER, ""] if best.smoke else []
    lines += [f"Test error %, mean ± std over realizations; protocol {code(best.protocol)}, data {code(best.variant)}.", ""]
    lines += [*markup.table(["Model", *MNIST_SCALE_TASKS], rows, MNIST_SCALE_TASKS), ""]
    chosen = [f"{table.task}: {code(table.digest)}" for table in tables if table and table.one_of_several]
    if chosen:
        lines += [f"Of several recipes under this name, the one with most results is shown ({', '.join(chosen)}).", ""]
    return "\n".join(lines)


def _preference(section: Section) -> tuple[bool, bool, bool, int, str, str]:
    count = _result_count(section)
    return (not count, section.smoke, section.protocol != "paper", -count, section.protocol, section.variant)


def _result_count(section: Section) -> int:
    return sum(len(table.runs) for table in section.tables if table.task in MNIST_SCALE_TASKS)


def _largest(tables: Sequence[Table]) -> Table | None:
    return min(tables, key=lambda table: (-len(table.runs), table.digest), default=None)


def _cell(row: Row | None) -> str:
    if row is None or row.summary is None:
        return NOTHING
    n = markup.count_of(row.summary, row.expected)
    return markup.mean_std(row.summary.mean, row.summary.std) + (f" ({n})" if "of" in n else "")
