"""`bench compare`: two models, paired over the realizations that both have. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from bench.cli.options import RecordsRead

if TYPE_CHECKING:
    from leaderboard.board.tables import Section, Table
    from leaderboard.stats.comparison import Comparison


def compare(
    a: Annotated[str, Argument(help="A model, as the board names it.")],
    b: Annotated[str, Argument(help="Another one.")],
    task: Annotated[str | None, Option(help="Only this task.")] = None,
    protocol: Annotated[str | None, Option(help="Only this protocol.")] = None,
    records: RecordsRead = None,
) -> None:
    """Say how far apart two models are, how sure that is, and how many realizations would settle it."""
    import datasets
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
    for kind, names in (("model", (a, b)), ("task", (task,)), ("protocol", (protocol,))):
        for name in names:
            _check(kind, name, {getattr(run, kind) for run in runs}, where_from)
    if a == b:
        raise BenchError(f"{a!r} is {b!r}; give two different models")
    asked = [run for run in runs if task in (None, run.task) and protocol in (None, run.protocol)]
    shown = [
        (section, table)
        for section in build_sections(asked)
        for table in section.tables
        if not section.smoke and {a, b} <= {run.model for run in table.runs}
    ]
    if not shown:
        where = " and ".join(text for text in (task and f"task {task}", protocol and f"protocol {protocol}") if text)
        known = protocol if protocol in built_in_protocols() else "stl-100" if task == datasets.STL10 else "short"
        options = {"model": [a, b], "task": task, "protocol": known, "results": roots[0]}
        raise BenchError(
            f"{a} and {b} have no results to compare{' under ' + where if where else ''} in {where_from}; smoke tests are not "
            f"compared; make some with: {with_options('bench run', options)}"
        )
    print("\n\n".join(_report(section, table, a, b) for section, table in shown))


def _check(kind: str, name: str | None, known: Iterable[str], records: str) -> None:
    from bench.errors import BenchError
    from models.errors import suggestion

    if name is not None and name not in known:
        known = sorted(known)
        raise BenchError(f"no records of {kind} {name!r} in {records}{suggestion(name, known)}; there: {', '.join(known)}")


def _report(section: Section, table: Table, a: str, b: str) -> str:
    from leaderboard.board.markup import mean_std

    lines = [f"{table.task}, protocol {section.protocol} ({table.digest}), data {section.variant}"]
    for row in (row for model in (a, b) for row in table.rows if row.model == model):
        assert row.summary is not None
        lines.append(f"  {row.model:<16} error {mean_std(row.summary.mean, row.summary.std)} %, n = {row.summary.n}")
    found = next((c for c in table.comparisons if {c.a, c.b} == {a, b}), None)
    if found is None:
        return "\n".join(lines + _of_images_only(table, a, b))
    return "\n".join(lines + _of_realizations(found, table, a, b))


def _of_realizations(found: Comparison, table: Table, a: str, b: str) -> list[str]:
    from leaderboard.board.markup import difference, plural, probability
    from leaderboard.stats.evidence import LEVEL
    from leaderboard.stats.power import realizations_needed

    pairs, sign = len(table.comparisons), 1 if found.a == a else -1
    low, high = sorted((sign * found.interval.low, sign * found.interval.high))
    better = b if sign * found.difference > 0 else a
    verdict = (
        f"significantly different: {better} is better"
        if found.significant
        else "not significantly different on these data, which does not make them equal"
    )
    flips = "not computed" if found.p_sign_flip is None else probability(found.p_sign_flip)
    needed = [realizations_needed(found.evidence, alpha) for alpha in (1 - LEVEL, (1 - LEVEL) / pairs)]
    return [
        f"  {a} - {b}: {difference(sign * found.difference)} percentage points, 95 % interval {difference(low)} to "
        f"{difference(high)}, n = {found.n} shared realizations",
        f"  p = {probability(found.p)} (moderated t); {probability(found.p_holm)} corrected for the table's "
        f"{plural(pairs, 'pair')} (Holm); {flips} by sign flips alone (never below {2 / 2**found.n:.2g})",
        f"  verdict: {verdict}",
        f"  if the true difference and spread are those seen, 80 % power takes {_more(needed[0], found.n)} for this pair "
        f"alone, {_more(needed[1], found.n)} with the correction for {plural(pairs, 'pair')}",
    ]


def _more(needed: int | None, n: int) -> str:
    if needed is None:
        return "more than 1,000 realizations"
    return f"{needed} realizations ({needed - n} more)" if needed > n else f"{needed} realizations (no more)"


def _of_images_only(table: Table, a: str, b: str) -> list[str]:
    from leaderboard.board.markup import difference
    from leaderboard.stats.answers import by_model, gather
    from leaderboard.stats.comparison import MOST_MODELS

    runs = by_model(run for run in table.runs if run.model in (a, b))
    shared = sorted(runs[a].keys() & runs[b].keys())
    if not shared:
        return ["  no realization is shared: nothing is compared"]
    if len(shared) > 1:
        return [f"  pairs of over {MOST_MODELS} models are not compared; copy the records of fewer models into a folder"]
    evidence = gather(runs, [a, b], shared).of_pair(0, 1)
    low, high = difference(evidence.interval.low), difference(evidence.interval.high)
    return [
        f"  {a} - {b}: {difference(evidence.mean)} percentage points on realization {shared[0]}, n = 1 shared realization",
        f"  95 % interval over other test images only: {low} to {high}",
        "  no p and no verdict: how much another training changes this is not known from one realization; give both more",
    ]
