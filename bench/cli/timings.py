"""`bench timings`: every timing found, this machine's and those copied in, as tables. Needs no torch."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bench.cli.json_output import Json, print_json
from bench.cli.options import Task

if TYPE_CHECKING:
    from leaderboard.records.timing import Timing


def timings(
    records: Annotated[list[Path] | None, Option(help="Folder with timings. Repeatable. Default: records and results.")] = None,
    task: Task = None,
    baseline: Annotated[
        str | None, Option(help="Device, or a part of its name, to compare with. Default: the one with most timings.")
    ] = None,
    mixed: Annotated[bool, Option("--mixed", help="Put different precisions and batch sizes side by side.")] = False,
    stale: Annotated[
        bool, Option("--stale", help="List the timings whose code has changed since, and what measures them again.")
    ] = False,
    output: Annotated[Path | None, Option(help="Write the tables to this file instead of the screen.")] = None,
    plot: Annotated[
        list[Path] | None, Option(help="Draw the ratios to the plain CNN into this .png, .svg or .pdf file. Repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare training steps across models and devices, as far as they ran the same code. Merging is copying files.

    Tainted timings are listed apart.
    """
    from bench.plan import match_tasks
    from leaderboard.records.atomic import check_target, is_stream, write_atomically
    from leaderboard.timings.as_json import timings_json
    from leaderboard.timings.markdown import timings_markdown
    from leaderboard.timings.plot import check_suffix, ratio_figure
    from leaderboard.timings.tables import build_tables

    figures = plot or []
    for path in (output, *figures):
        if path is not None:
            check_target(path)
    for path in figures:
        check_suffix(path)
    chosen = _read(records, match_tasks(task or ["*"]))
    if stale:
        _stale(
            chosen, records[0] if records else Path("results"), json=json, others=bool(baseline or mixed or output or figures)
        )
        return
    beside = [path for path in figures if output is not None and path.parent == output.parent]
    text = timings_markdown(chosen, baseline=baseline, mixed=mixed, figure=beside[0].name if beside else None)
    if json:
        print_json(timings_json(chosen, baseline=baseline, mixed=mixed))
    elif output is None:
        print(text, end="")
    quiet = json or any(path is None or is_stream(path) for path in (output, *figures))
    if output is not None:
        write_atomically(output, text.encode("utf-8"))
        print(f"wrote {output}", file=sys.stderr if quiet else sys.stdout)
    for path in figures:
        write_atomically(path, ratio_figure(build_tables(chosen, mixed=mixed), path.suffix))
        print(f"wrote {path}", file=sys.stderr if quiet else sys.stdout)


def _read(records: list[Path] | None, tasks: list[str]) -> list[Timing]:
    """The timings of these tasks, in order, each once. Raises RecordError: there are none."""
    from leaderboard.errors import RecordError
    from leaderboard.reading.collection import at_most
    from leaderboard.reading.folders import read_measurements
    from leaderboard.records.timing import Timing

    for root in records or []:
        if not root.is_dir():
            command = f"bench time --all --records {shlex.quote(str(root))}"
            raise RecordError(f"{root} is no folder; give one that holds timings, or make it with: {command}")
    timings, unreadable = read_measurements(records or [Path("records"), Path("results")], Timing)
    found = {(timing.task, timing.model, timing.name): timing for timing in timings}
    for line in at_most([f"timing {bad.path} is left out: {bad.reason}" for bad in unreadable]):
        print(f"bench: {line}", file=sys.stderr)
    chosen = [timing for key, timing in sorted(found.items()) if timing.task in tasks]
    if not chosen:
        there = shlex.quote(str(records[0] if records else "results"))
        raise RecordError(
            f"there are no timings; make some with: bench time --all --records {there} (or copy a timings folder into it)"
        )
    return chosen


def _stale(timings: list[Timing], records: Path, *, json: bool, others: bool) -> None:
    """What is not of today's code, and what measures it again. Raises BenchError: options that do not go with it."""
    from bench.errors import BenchError
    from bench.step_code.stale import commands_here, freshness
    from leaderboard.timings.as_json import timing_json
    from leaderboard.timings.tables import device_of

    if others:
        raise BenchError("--stale goes with --records, --task and --json alone; leave out the others")
    found = freshness(timings)
    commands = commands_here(found, records)
    if json:
        told = [{"state": one.state, "why": one.why, "here": one.here, **timing_json(one.timing)} for one in found]
        print_json({"timings": told, "commands": commands})
        return
    rows = [one for one in found if one.state != "fresh"]
    print(f"{len(rows)} of the newest {len(found)} timings are not of today's code, or cannot be told to be:")
    for one in rows:
        what = f"{one.timing.task:<16} {one.timing.model:<26} {1000 * one.timing.step:>6.0f} ms"
        print(f"{what}  {one.timing.measured:%Y-%m-%d}  {device_of(one.timing)}: {one.state}; {one.why}")
    if commands:
        print("\nOn this machine, the cheapest first; all of them with: bench time --stale")
        print(*commands, sep="\n")
