"""What folders of records hold: runs, each once, measurements beside them, and everything that somebody should know about."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from leaderboard.errors import one_line
from leaderboard.reading.copies import M, choose_measurement, choose_run, note_on
from leaderboard.reading.folders import ForeignFile, Loaded, Unreadable, read_each
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.file_kind import RUN
from leaderboard.records.measurement import kind_name
from leaderboard.records.repeat import Repeat
from leaderboard.records.runs import RunResult, run_of
from leaderboard.records.scale_sweep import ScaleSweep
from leaderboard.records.schema import Record

Source = Path | str | Iterable[Path | str | Record]
Wanted = Record | Equivariance | ScaleSweep | Repeat
WANTED: Mapping[str, type[Wanted]] = {RUN: Record, **{kind_name(kind): kind for kind in (Equivariance, ScaleSweep, Repeat)}}
MOST_LINES = 3  # of one sort


@dataclass(frozen=True)
class Collection:
    """Runs in a fixed order, files of ours that gave nothing, a line on each run found more than once, measurements.

    ``contradictions`` are those notes whose copies differ; ``foreign`` names the JSON files that are not ours.
    ``repeats``: by run id, those that agree with the result that counts here and were done on other hardware, by date;
    ``disputes``: those that do not agree with it, on any hardware. A repeat of any other result is in neither.
    """

    runs: tuple[RunResult, ...]
    unreadable: tuple[Unreadable, ...]
    notes: tuple[str, ...]
    equivariance: tuple[Equivariance, ...] = ()
    scale_sweeps: tuple[ScaleSweep, ...] = ()
    contradictions: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    repeats: Mapping[str, tuple[Repeat, ...]] = field(default_factory=dict)
    disputes: Mapping[str, tuple[Repeat, ...]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Lines for the screen: what is left out and what to do about it."""
        left_out = [f"{one_line(bad.path)} is left out: {bad.reason}{'' if bad.newer else _REPEAT}" for bad in self.unreadable]
        count, some = len(self.foreign), ", ".join(one_line(name, 80) for name in self.foreign[:3])
        alone = [f"{count} JSON file{'s are' if count > 1 else ' is'} not ours and left alone, e.g. {some}"] if count else []
        return [*at_most(left_out), *at_most(self.contradictions), *alone]

    def without_altered(self, smoke: bool = False) -> Collection:
        """Without altered networks or images and, but with ``smoke``, smoke tests, nor what was measured on their weights."""
        barred = {run.run_id for run in self.runs if run.altered or (run.smoke and not smoke)}
        return replace(
            self,
            runs=tuple(run for run in self.runs if run.run_id not in barred),
            equivariance=tuple(item for item in self.equivariance if item.run_id not in barred),
            scale_sweeps=tuple(item for item in self.scale_sweeps if item.run_id not in barred),
        )

    def with_records(self, records: Iterable[Record]) -> Collection:
        """And the runs of these records, finished ones, that the collection has no result of."""
        ok = {run.run_id for run in self.runs if run.status in ("ok", "contradictory")}
        more = {record.run_id: run_of(record) for record in records if record.run_id not in ok}
        runs = [*(run for run in self.runs if run.run_id not in more), *more.values()]
        return replace(self, runs=tuple(sorted(mark_older_code(runs), key=_order))) if more else self


_REPEAT = "; repeat its run or move the file away"


def collect(source: Source) -> Collection:
    """The runs, and what was measured beside them, of a folder of records or several; or the runs of records at hand.

    Copies of one run count once (leaderboard/reading/copies.py). Raises RecordError when a folder is missing, or when records
    share a run id without being of the same run.
    """
    copies: defaultdict[str, list[Loaded[RunResult]]] = defaultdict(list)
    equivariance: list[Loaded[Equivariance]] = []
    scale_sweeps: list[Loaded[ScaleSweep]] = []
    repeats: dict[str, Repeat] = {}
    unreadable, foreign = [], []
    for found in _found(source):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        elif isinstance(found, ForeignFile):
            foreign.append(found.name)
        elif isinstance(found.item, Record):
            run = replace(run_of(found.item), file=_file(found.path, found.name))
            copies[run.run_id].append(Loaded(found.path, found.name, run))
        elif isinstance(found.item, Equivariance):
            equivariance.append(Loaded(found.path, found.name, found.item))
        elif isinstance(found.item, Repeat):
            repeats.setdefault(found.item.name, found.item)
        else:
            scale_sweeps.append(Loaded(found.path, found.name, found.item))
    runs = sorted(mark_older_code([choose_run(its) for its in copies.values()]), key=_order)
    several = sorted((run for run in runs if len(copies[run.run_id]) > 1), key=lambda run: run.run_id)
    notes = [note_on(run, len(copies[run.run_id])) for run in several]
    contradictions = [note for run, note in zip(several, notes, strict=True) if run.status == "contradictory"]
    errors, of_errors, _ = _once(equivariance)
    tested, of_tested, differing = _once(scale_sweeps)
    return Collection(
        tuple(runs), tuple(unreadable), (*notes, *of_errors, *of_tested), errors, tested, (*contradictions, *differing),
        tuple(foreign), *_by_run(repeats.values(), runs),
    )  # fmt: skip


def _found(source: Source) -> Iterator[Loaded[Wanted] | Unreadable | ForeignFile]:
    roots = []
    for item in [source] if isinstance(source, str | Path) else source:
        if isinstance(item, Record):
            yield Loaded(Path(), "", item)
        else:
            roots.append(Path(item))
    yield from read_each(roots, WANTED)


def _file(path: Path, name: str) -> str:
    """A record's place: its folder of records by its own name, and ``name`` below that; empty: no file."""
    if name in ("", path.as_posix()):  # below one of several folders
        return name
    return f"{Path(path.absolute().as_posix().removesuffix(f'/{name}')).name}/{name}"


def _once(found: list[Loaded[M]]) -> tuple[tuple[M, ...], list[str], list[str]]:
    """Each measurement once, a line on each that was found more often, and those of these lines whose copies differ."""
    copies: defaultdict[tuple[str, str, str], list[Loaded[M]]] = defaultdict(list)
    for one in found:
        copies[one.item.task, one.item.model, one.item.name].append(one)
    chosen = [choose_measurement(its) for its in copies.values()]
    notes = [note for _, note in chosen if note]
    return tuple(item for item, _ in chosen if item is not None), notes, [note for item, note in chosen if item is None]


def _by_run(repeats: Iterable[Repeat], runs: Iterable[RunResult]) -> tuple[dict[str, tuple[Repeat, ...]], ...]:
    """Those that agree, from other hardware, and those that do not, of the results that count."""
    answers = {run.run_id: run.answers for run in runs if run.status == "ok"}
    agreeing: defaultdict[str, tuple[Repeat, ...]] = defaultdict(tuple)
    disputes: defaultdict[str, tuple[Repeat, ...]] = defaultdict(tuple)
    for repeat in sorted(repeats, key=lambda repeat: (repeat.measured, repeat.name)):
        if repeat.record_answers != answers.get(repeat.run_id):
            continue
        if not repeat.agrees:
            disputes[repeat.run_id] += (repeat,)
        elif repeat.on_other_hardware:
            agreeing[repeat.run_id] += (repeat,)
    return dict(agreeing), dict(disputes)


def mark_older_code(runs: Iterable[RunResult]) -> list[RunResult]:
    """The runs, those of a model's older code marked as altered, which keeps them off the tables and names them.

    Models that are not the suite's own may change under their name. Of one model on one task under one recipe the code of the
    run that finished last is the latest, whatever became of that run; runs from before records held the code count as code of
    their own.
    """
    runs = list(runs)
    groups: defaultdict[tuple[str, ...], list[RunResult]] = defaultdict(list)
    for run in runs:
        groups[_row(run)].append(run)
    latest = {row: max(its, key=lambda run: (run.finished, run.source or "")).source for row, its in groups.items()}
    return [run if run.source == latest[_row(run)] else _marked(run, latest[_row(run)]) for run in runs]


def _row(run: RunResult) -> tuple[str, ...]:
    return run.protocol, run.protocol_digest, run.data_variant, run.task, run.model


_OF_OTHER_CODE = "of other code"


def _marked(run: RunResult, latest: str | None) -> RunResult:
    used, newest = (source[:10] if source else "unknown" for source in (run.source, latest))
    why = f"{_OF_OTHER_CODE} ({used}) than the model's latest ({newest})"
    if _OF_OTHER_CODE in run.altered:  # marked before, among fewer runs
        return run
    return replace(run, altered=", ".join(filter(None, [run.altered, why])))


def at_most(lines: Sequence[str]) -> list[str]:
    """Three lines of one sort, and how many more there are; all of them with BENCH_DEBUG=1."""
    more = len(lines) - MOST_LINES
    if more <= 0 or os.environ.get("BENCH_DEBUG", "0") not in ("", "0"):
        return list(lines)
    return [*lines[:MOST_LINES], f"and {more} more like these ({len(lines)} in all); BENCH_DEBUG=1 names each"]


def _order(run: RunResult) -> tuple[str | int, ...]:
    return (run.protocol, run.data_variant, run.task, run.protocol_digest, run.model, run.realization, run.run_id)
