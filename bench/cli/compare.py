"""`bench compare`: two models, paired over the realizations that both have. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.json_output import Json, print_json
from bench.cli.options import RecordsRead


def compare(
    a: Annotated[str, Argument(help="A model, as the board names it.")],
    b: Annotated[str, Argument(help="Another one.")],
    task: Annotated[list[str] | None, Option(help="Only this task. Repeatable.")] = None,
    protocol: Annotated[list[str] | None, Option(help="Only this protocol. Repeatable.")] = None,
    records: RecordsRead = None,
    json: Json = False,
) -> None:
    """Say how far apart two models are, how sure that is, and how many realizations would settle it."""
    import datasets
    from bench.cli.pair_report import described, report
    from bench.commands import with_options
    from bench.errors import BenchError
    from bench.protocol import built_in_protocols
    from leaderboard.board.tables import build_sections
    from leaderboard.errors import one_line
    from leaderboard.reading.collection import collect

    roots = records or [Path("records")]
    collection = collect(roots)
    for line in collection.warnings:
        print(f"bench: {line}", file=sys.stderr)
    runs, where_from = collection.runs, ", ".join(one_line(root) for root in roots)
    for kind, names in (("model", [a, b]), ("task", task or []), ("protocol", protocol or [])):
        for name in names:
            _check(kind, name, {getattr(run, kind) for run in runs}, where_from)
    if a == b:
        raise BenchError(f"{a!r} is {b!r}; give two different models")
    asked = [run for run in runs if run.task in (task or [run.task]) and run.protocol in (protocol or [run.protocol])]
    shown = [
        (section, table)
        for section in build_sections(asked)
        for table in section.tables
        if not section.smoke and {a, b} <= {run.model for run in table.runs}
    ]
    if not shown:
        given = [("task", task or []), ("protocol", protocol or [])]
        where = " and ".join(f"{kind} {', '.join(names)}" for kind, names in given if names)
        usual = "stl-100" if task == [datasets.STL10] else "short"
        known = next((name for name in protocol or [] if name in built_in_protocols()), usual)
        options = {"model": [a, b], "task": task, "protocol": known, "results": roots[0]}
        raise BenchError(
            f"{a} and {b} have no results to compare{' under ' + where if where else ''} in {where_from}; smoke tests are not "
            f"compared; make some with: {with_options('bench run', options)}"
        )
    if json:
        print_json({"a": a, "b": b, "tables": [described(section, table, a, b) for section, table in shown]})
    else:
        print("\n\n".join(report(section, table, a, b) for section, table in shown))


def _check(kind: str, name: str, known: Iterable[str], records: str) -> None:
    from bench.errors import BenchError
    from models.errors import suggestion

    if name not in known:
        known = sorted(known)
        raise BenchError(f"no records of {kind} {name!r} in {records}{suggestion(name, known)}; there: {', '.join(known)}")
