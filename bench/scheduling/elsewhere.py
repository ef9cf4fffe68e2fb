"""Runs that other folders of records than the results folder hold, the committed ones first of all: they count as done.

They do if a board would show them: a result that no copy contradicts, of the task's own network and images, and no smoke test,
which is there to be run. Nothing in those folders is ever written.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.plan import Run
from leaderboard.errors import RecordError, one_line
from leaderboard.reading.collection import collect
from leaderboard.reading.folders import Loaded, Unreadable, read_each
from leaderboard.records.file_kind import RUN
from leaderboard.records.runs import RunResult
from leaderboard.records.schema import Record

COMMITTED = Path("records")  # where one stands


@dataclass(frozen=True)
class Elsewhere:
    """`folders` that were read; every record of a run there; and of each run that counts one, by its id."""

    folders: tuple[Path, ...] = ()
    records: tuple[Record, ...] = ()
    counted: tuple[Record, ...] = ()

    def done(self, runs: Iterable[Run]) -> dict[str, Record]:
        """By run id, the records of those of the runs that are done there."""
        counted = {record.run_id: record for record in self.counted}
        return {run.id: counted[run.id] for run in runs if run.id in counted and _is_of(counted[run.id], run)}

    def beside(self, runs: Iterable[Run], own: Iterable[RunResult]) -> list[Record]:
        """What belongs on one board with these runs and the results folder's own: all under the same recipes."""
        asked = {(run.recipe.digest, run.recipe.data.variant, run.task) for run in runs}
        asked |= {(run.protocol_digest, run.data_variant, run.task) for run in own}
        return [one for one in self.counted if (one.protocol.digest, one.data.variant, one.task) in asked]


def folders_elsewhere(given: Sequence[Path] | None, results: Path, anew: bool) -> list[Path]:
    """The folders that are asked for, else `records` where there is one; none with `anew`.

    Raises BenchError: both are given; RecordError: a folder that is given is none.
    """
    if anew and given:
        raise BenchError("--anew trains what other folders hold as well; leave out --records, or --anew")
    for folder in given or ():
        if not folder.is_dir():
            raise RecordError(f"{one_line(folder)} is no folder of records; give one that exists, or leave out --records")
    folders = [] if anew else list(given) if given else [COMMITTED]
    return [folder for folder in folders if folder.is_dir() and folder.resolve() != results.resolve()]


def read_elsewhere(folders: Sequence[Path]) -> Elsewhere:
    """What the folders hold. What cannot be read, or is in doubt, counts as not done, and a line says so."""
    records: list[Record] = []
    unreadable: list[Unreadable] = []
    try:
        for found in read_each(folders, {RUN: Record}):
            if isinstance(found, Loaded):
                records.append(found.item)
            elif isinstance(found, Unreadable):
                unreadable.append(found)
        collection = collect(records)
    except RecordError as error:
        print(f"bench: {error}; no run counts as done there", file=sys.stderr)
        return Elsewhere(tuple(folders), tuple(records))
    where = _names(folders)
    for what, names in (
        ("cannot be read", [one_line(bad.path, 120) for bad in unreadable]),
        ("contradict their copies", [run.run_id for run in collection.runs if run.status == "contradictory"]),
    ):
        if names:
            print(f"bench: in {where} {_listed(names)} {what}, and count as not done", file=sys.stderr)
    ok = {run.run_id: run.finished for run in collection.runs if run.status == "ok" and not (run.smoke or run.altered)}
    counted = {one.run_id: one for one in records if one.status == "ok" and ok.get(one.run_id) == one.finished}
    return Elsewhere(tuple(folders), tuple(records), tuple(counted.values()))


def note_on(done: dict[str, Record], asked: int, folders: Sequence[Path]) -> str:
    """A line on the runs that other folders hold, and of which code they are."""
    software = [record.software for record in done.values()]
    commits = Counter((one.git_commit or "unknown")[:7] + (" + changes" if one.git_dirty else "") for one in software)
    at = ", ".join(f"{count} at {commit}" for commit, count in commits.most_common(3)) + (", …" if len(commits) > 3 else "")
    are = "is" if len(done) == 1 else "are"
    return f"{len(done)} of {asked} {are} in {_names(folders)} (by commit: {at}); to train them here too: --anew"


def _is_of(record: Record, run: Run) -> bool:
    """Whether it is what its id says: an id may have been written by hand."""
    said = (record.model, record.task, record.realization, record.protocol.name, record.protocol.digest)
    return (*said, record.data.fingerprint) == (
        run.model, run.task, run.realization, run.protocol.name, run.recipe.digest, run.fingerprint
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {'file' if len(names) == 1 else 'files'} ({', '.join(names[:3])}{more})"


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(one_line(folder, 80) for folder in folders)
