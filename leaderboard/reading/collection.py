"""What folders of records hold: runs, each once, measurements beside them, and everything that somebody should know about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from leaderboard.errors import one_line
from leaderboard.reading.copies import note_on, settle, settle_measurements
from leaderboard.reading.ours import RUN
from leaderboard.reading.reading import Read, Stranger, Unreadable, read_each
from leaderboard.reading.sources import latest_alone
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.runs import RunResult, run_of
from leaderboard.records.scale_sweep import ScaleSweep
from leaderboard.records.schema import Record

Source = Path | str | Iterable[Path | str | Record]
Wanted = Record | Equivariance | ScaleSweep
KINDS: Mapping[str, type[Wanted]] = {RUN: Record, "equivariance": Equivariance, "generalisation": ScaleSweep}
M = TypeVar("M", Equivariance, ScaleSweep)
MOST_LINES = 10  # of one sort


@dataclass(frozen=True)
class Collection:
    """Runs in a fixed order, files of ours that gave nothing, a line on each run found more than once, measurements.

    ``contradictions`` are those notes whose copies differ; ``strangers`` names the JSON files that are not ours.
    """

    runs: tuple[RunResult, ...]
    unreadable: tuple[Unreadable, ...]
    notes: tuple[str, ...]
    equivariance: tuple[Equivariance, ...] = ()
    scale_sweeps: tuple[ScaleSweep, ...] = ()
    contradictions: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """Lines for the screen: what is left out and what to do about it."""
        left_out = [f"{one_line(bad.path)} is left out: {bad.reason}{'' if bad.newer else _REPEAT}" for bad in self.unreadable]
        count, some = len(self.strangers), ", ".join(one_line(name, 80) for name in self.strangers[:3])
        alone = [f"{count} JSON file{'s are' if count > 1 else ' is'} not ours and left alone, e.g. {some}"] if count else []
        return [*_at_most(left_out), *_at_most(list(self.contradictions)), *alone]


_REPEAT = "; repeat its run or move the file away"


def collect(source: Source) -> Collection:
    """The runs, and what was measured beside them, of a folder of records or several; or the runs of records at hand.

    Copies of one run count once (reading/copies.py). Raises RecordError when a folder is missing, or when records share a
    run id without being of the same run.
    """
    runs: defaultdict[str, list[tuple[str, RunResult]]] = defaultdict(list)
    equivariance: list[Read[Equivariance]] = []
    scale_sweeps: list[Read[ScaleSweep]] = []
    unreadable, strangers = [], []
    for found in _found(source):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        elif isinstance(found, Stranger):
            strangers.append(found.name)
        elif isinstance(found.item, Record):
            runs[found.item.run_id].append((found.name, run_of(found.item)))
        elif isinstance(found.item, Equivariance):
            equivariance.append(Read(found.path, found.name, found.item))
        else:
            scale_sweeps.append(Read(found.path, found.name, found.item))
    kept = [settle(copies) if len(copies) > 1 else copies[0][1] for copies in runs.values()]
    kept = sorted(latest_alone(kept), key=_order)
    several = sorted((run for run in kept if len(runs[run.run_id]) > 1), key=lambda run: run.run_id)
    notes = [note_on(run, len(runs[run.run_id])) for run in several]
    contradictions = [note for run, note in zip(several, notes, strict=True) if run.status == "contradictory"]
    errors, of_errors, _ = _once(equivariance)
    tested, of_tested, differing = _once(scale_sweeps)
    return Collection(
        tuple(kept), tuple(unreadable), (*notes, *of_errors, *of_tested), errors, tested, (*contradictions, *differing),
        tuple(strangers),
    )  # fmt: skip


def _found(source: Source) -> Iterator[Read[Wanted] | Unreadable | Stranger]:
    roots = []
    for item in [source] if isinstance(source, str | Path) else source:
        if isinstance(item, Record):
            yield Read(Path(), "", item)
        else:
            roots.append(Path(item))
    yield from read_each(roots, KINDS)


def _once(found: list[Read[M]]) -> tuple[tuple[M, ...], list[str], list[str]]:
    """Each measurement once, a line on each that was found more often, and those of these lines whose copies differ."""
    copies: defaultdict[tuple[str, str, str], list[tuple[str, M]]] = defaultdict(list)
    for one in found:
        copies[one.item.task, one.item.model, one.item.name].append((one.name, one.item))
    kept, notes, contradictions = [], [], []
    for its in copies.values():
        item, note = settle_measurements(its) if len(its) > 1 else (its[0][1], "")
        kept += [item] if item is not None else []
        notes += [note] if note else []
        contradictions += [note] if item is None else []
    return tuple(kept), notes, contradictions


def _at_most(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more} more like these"]


def _order(run: RunResult) -> tuple[str | int, ...]:
    return (run.protocol, run.data_variant, run.task, run.protocol_digest, run.model, run.realization, run.run_id)
