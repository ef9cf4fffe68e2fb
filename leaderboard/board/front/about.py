"""What the board is, whose, and of when: a function of its runs, like all else on it, and not of the day it is built."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from urllib.parse import quote

from leaderboard.board.tables import Section
from leaderboard.records.runs import RunResult

NAME = "equiscale"
SENTENCE = "Scale-equivariant networks, trained on the same data under the same protocol, each beside its published number."
AUTHORS, LICENCE = "the equiscale authors", "MIT licence"
REPOSITORY = "https://github.com/equiscale/equiscale"  # as in pyproject.toml, which this package does not read


def latest_run(sections: Iterable[Section]) -> RunResult | None:
    """The run of these sections that finished last, whatever became of it: the board's date and version are its.

    The installed version would do for neither: the same records would then give other bytes after every release.
    """
    runs = [run for section in sections for table in section.tables for run in (*table.runs, *table.failures)]
    return max(runs, key=lambda run: (run.finished, run.run_id), default=None)


def date_of(run: RunResult) -> str:
    """The day it finished, in UTC: ``2026-01-31``."""
    return run.finished.astimezone(UTC).date().isoformat()


def software_of(run: RunResult) -> str:
    """``equiscale 0.1.0, commit 0123456``: what did the run, as its record says."""
    commit = f", commit {run.git_commit[:7]}{' + changes' if run.git_dirty else ''}" if run.git_commit else ""
    return f"{NAME} {run.version}{commit}"


def state(sections: Iterable[Section]) -> str:
    """One line on the board's date and version; empty: no runs."""
    run = latest_run(sections)
    return f"Latest run: {date_of(run)} (UTC), by {software_of(run)}." if run else ""


def link_to(path: str) -> str:
    """Where a file or folder of the repository is read."""
    return f"{REPOSITORY}/blob/main/{quote(path)}"
