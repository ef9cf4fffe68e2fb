"""Which runs are done already, as the records in the results folder tell, and what is said of those of other code than today's.

These are neither passed over in silence nor done again unasked.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.machine.source import commit
from bench.plan import Run
from bench.results import run_record_path
from leaderboard.errors import NewerRecord, RecordError, one_line
from leaderboard.reading.collection import at_most
from leaderboard.reading.folders import read_all
from leaderboard.records.schema import Record
from leaderboard.records.store import read_record

Commit = tuple[str | None, bool | None]


def read_results(results: Path) -> list[Record]:
    """The records in a results folder, at any depth. Those that cannot be read are told on screen."""
    if not results.exists():
        return []
    records, unreadable = read_all(results)
    then = {True: "is not repeated over it", False: "counts as not done"}
    lines = [f"record {one_line(bad.path)} is unreadable ({bad.reason}); its run {then[bad.newer]}" for bad in unreadable]
    for line in at_most(lines):
        print(f"bench: {line}", file=sys.stderr)
    return records


def newer_records(runs: Iterable[Run], results: Path) -> set[str]:
    """The ids of runs at whose place lies a record of a newer equiscale, which nothing may be written over."""
    newer = set()
    for run in runs:
        try:
            read_record(run_record_path(results, run))
        except NewerRecord:
            newer.add(run.id)
        except RecordError:
            continue
    return newer


def done(runs: Iterable[Run], records: Iterable[Record]) -> set[str]:
    """The ids of the runs that are finished, under the code that they would be done with or before anybody recorded it.

    A plugin's record from before records held its code has the id that its run would have without.
    """
    finished = {record.run_id for record in records if record.status == "ok"}
    return {run.id for run in runs if run.id in finished or _without_code(run) in finished}


def _without_code(run: Run) -> str:
    return replace(run, source="").id


def notes_on_other_code(runs: Sequence[Run], records: Iterable[Record], today: Commit | None = None) -> list[str]:
    """Lines on finished runs of the same models under the same recipe that are of other code than these runs would be.

    A plugin's code is a part of its runs' ids, so they are done again. The suite's own is not: they stay, with their commit.
    """
    ok = [record for record in records if record.status == "ok"]
    finished, unknown = done(runs, ok), {record.run_id for record in ok} & {_without_code(run) for run in runs if run.source}
    to_do = {
        (run.model, run.task, run.realization, run.protocol.name, run.recipe.digest, run.fingerprint)
        for run in runs if run.id not in finished and run.source
    }  # fmt: skip
    older = Counter(
        one.model for one in ok
        if (one.model, one.task, one.realization, one.protocol.name, one.protocol.digest, one.data.fingerprint) in to_do
    )  # fmt: skip
    lines = [
        f"{count} finished {'runs' if count > 1 else 'run'} of {model}: its code has changed since, so what is asked for "
        "is done anew; the board shows a model's latest code alone, and names the runs of any other"
        for model, count in sorted(older.items())
    ]
    if unknown:
        lines.append(
            f"{len(unknown)} of those done {'are' if len(unknown) > 1 else 'is'} from before records held a plugin's code, and "
            "may be of other code; to do them again: --results with a new folder"
        )
    return [*lines, *_commits({run.id for run in runs}, ok, commit() if today is None else today)]


def _commits(asked: set[str], ok: Iterable[Record], today: Commit) -> list[str]:
    made = [(record.software.git_commit, record.software.git_dirty) for record in ok if record.run_id in asked]
    others = Counter(_label(one) for one in made if one[0] is not None and (one != today or one[1]))
    if today[0] is None or not others:
        return []
    told = ", ".join(f"{count} at {label}" for label, count in others.most_common())
    return [
        f"already done, but by other code of the suite's than today's {_label(today)}: {told}; "
        "to do them again: --results with a new folder"
    ]


def _label(of: Commit) -> str:
    return f"{(of[0] or '')[:7]}{' + changes' if of[1] else ''}"
