"""What a sprint has found so far: one table, as summary.md and summary.json in its folder and on screen."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.sprint.step import StepOutcome
from leaderboard.errors import one_line
from leaderboard.records.atomic import write_atomically

DONE = ("ok", "done before")


def write(folder: Path, about: dict[str, Any], outcomes: Sequence[StepOutcome]) -> None:
    """Write both files anew, each atomically. Raises RecordError."""
    steps = [vars(outcome) for outcome in outcomes]
    write_atomically(folder / "summary.json", (json.dumps({**about, "steps": steps}, indent=1) + "\n").encode())
    head = [f"- {name.replace('_', ' ')}: {value}" for name, value in about.items()]
    rows = ["| step | outcome | seconds | limit | finding |", "| --- | --- | ---: | ---: | --- |"]
    for o in outcomes:
        finding = one_line(o.finding, 100_000).replace("|", "\\|").replace("; ", "<br>")
        rows.append(f"| {o.name} | {o.outcome} | {o.seconds:.1f} | {o.limit:.0f} | {finding} |")
    write_atomically(folder / "summary.md", "\n".join(["# A sprint", "", *head, "", *rows, ""]).encode())


def done_before(folder: Path, identity: str) -> dict[str, StepOutcome]:
    """The steps that an earlier sprint in this folder finished with the same code on the same device, by name."""
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        steps = [StepOutcome(**step) for step in found["steps"]] if found["identity"] == identity else []
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {step.name: step for step in steps if step.outcome in DONE}


def show(outcomes: Sequence[StepOutcome]) -> None:
    """Print the table."""
    print(f"{'step':<20} {'outcome':<24} {'seconds':>7} {'limit':>6}")
    for o in outcomes:
        print(f"{o.name:<20} {o.outcome:<24} {o.seconds:>7.1f} {o.limit:>6.0f}")
        width = shutil.get_terminal_size((128, 24)).columns
        print(textwrap.fill(one_line(o.finding, 100_000), width, initial_indent="    ", subsequent_indent="    "))
