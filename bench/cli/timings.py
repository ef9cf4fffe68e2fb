"""`bench timings`: every timing found, this machine's and those copied in, as tables. Needs no torch."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from bench.cli.options import Task


def timings(
    records: Annotated[list[Path] | None, Option(help="Folder with timings. Repeatable. Default: records and results.")] = None,
    task: Task = None,
    baseline: Annotated[
        str | None, Option(help="Device, or a part of its name, to compare with. Default: the one with most timings.")
    ] = None,
    mixed: Annotated[bool, Option("--mixed", help="Put different precisions and batch sizes side by side.")] = False,
    output: Annotated[Path | None, Option(help="Write the tables to this file instead of the screen.")] = None,
    plot: Annotated[Path | None, Option(help="Draw the ratios to the plain CNN into this PNG file.")] = None,
) -> None:
    """Compare training steps across models and devices; tainted timings are listed apart. Merging is copying files."""
    from bench.plan import match_tasks
    from leaderboard.errors import RecordError
    from leaderboard.reading.folders import read_measurements
    from leaderboard.records.atomic import check_target, is_stream, write_atomically
    from leaderboard.records.timing import Timing
    from leaderboard.timings.markdown import timings_markdown
    from leaderboard.timings.plot import ratio_figure
    from leaderboard.timings.tables import build_tables

    tasks = match_tasks(task or ["*"])
    for path in (output, plot):
        if path is not None:
            check_target(path)
    for root in records or []:
        if not root.is_dir():
            command = f"bench time --all --records {shlex.quote(str(root))}"
            raise RecordError(f"{root} is no folder; give one that holds timings, or make it with: {command}")
    timings, unreadable = read_measurements(records or [Path("records"), Path("results")], Timing)
    found = {(timing.task, timing.model, timing.name): timing for timing in timings}
    for bad in unreadable:
        print(f"bench: timing {bad.path} is left out: {bad.reason}", file=sys.stderr)
    chosen = [timing for key, timing in sorted(found.items()) if timing.task in tasks]
    if not chosen:
        there = shlex.quote(str(records[0] if records else "results"))
        raise RecordError(
            f"there are no timings; make some with: bench time --all --records {there} (or copy a timings folder into it)"
        )
    text = timings_markdown(chosen, baseline=baseline, mixed=mixed)
    if output is None:
        print(text, end="")
    else:
        write_atomically(output, text.encode("utf-8"))
        print(f"wrote {output}", file=sys.stderr if is_stream(output) else sys.stdout)
    if plot is not None:
        clean = [timing for timing in chosen if not timing.tainted]
        write_atomically(plot, ratio_figure(build_tables(clean, mixed=mixed)))
        print(f"wrote {plot}", file=sys.stderr if output is None or is_stream(output) or is_stream(plot) else sys.stdout)
