"""What is offered: the files that run ids, files and folders stand for, and which of them may be taken into records/."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.submit.soundness import faults, is_dirty, objections
from leaderboard.errors import RecordError, one_line, reason
from leaderboard.reading.folders import Loaded, Unreadable, read_each
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.file_kind import HEAD, RUN, kind_of, kind_of_head
from leaderboard.records.measurement import Measurement, kind_name, measurement_path
from leaderboard.records.repeat import Repeat
from leaderboard.records.runs import answers_hash
from leaderboard.records.scale_sweep import ScaleSweep
from leaderboard.records.schema import Record
from leaderboard.records.serialization import as_utf8, parse
from leaderboard.records.store import record_path
from leaderboard.records.timing import Timing
from models.errors import suggestion

Item = Record | Timing | Equivariance | ScaleSweep | Repeat
KINDS: dict[str, type[Item]] = {RUN: Record, **{kind_name(kind): kind for kind in (Timing, Equivariance, ScaleSweep, Repeat)}}
NOWHERE = Path()


@dataclass(frozen=True)
class Candidate:
    """A record or a measurement, the file it was read from, and its place below records/."""

    path: Path
    item: Item

    @property
    def place(self) -> Path:
        item = self.item
        if isinstance(item, Record):
            return record_path(NOWHERE, item)
        return measurement_path(NOWHERE, item.kind, item.task, item.model, item.name)

    @property
    def name(self) -> str:
        """What it is called where it is refused."""
        return self.item.run_id if isinstance(self.item, Record) else self.place.as_posix()


@dataclass
class Offer:
    """What was found, told apart. `refused`: names with the reason; `known`: how many lie in records/ already."""

    accepted: list[Candidate] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    known: int = 0

    @property
    def records(self) -> list[Record]:
        return [one.item for one in self.accepted if isinstance(one.item, Record)]

    @property
    def measurements(self) -> list[Measurement]:
        return [one.item for one in self.accepted if isinstance(one.item, Measurement)]


def find(asked: Sequence[str], results: Path) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """What run ids (in `results`), files and folders stand for, and what cannot be read, with the reason.

    Nothing asked for: all of `results`. Raises BenchError: there is none such; RecordError: a file that is no record.
    """
    paths = {word: Path(word) for word in asked}
    folders = [path for path in paths.values() if path.is_dir()] or ([results] if not asked else [])
    found, bad = _read(folders)
    found += [_read_file(path) for path in paths.values() if path.is_file()]
    ids = [word for word, path in paths.items() if not path.exists()]
    if ids:
        there, damaged = _read([results]) if results.is_dir() else ([], [])
        known = sorted({one.item.run_id for one in there if isinstance(one.item, Record)})
        for wanted in ids:
            its = [one for one in there if getattr(one.item, "run_id", None) == wanted]
            if not any(isinstance(one.item, Record) for one in its):
                why = next((f": {why}" for name, why in damaged if wanted in name), "")
                raise BenchError(
                    f"{one_line(wanted, 200)} is no file or folder, and no run in {one_line(results)}"
                    f"{why or suggestion(wanted, known)}; give RUN_ID, a record's file or a folder of results"
                )
            found += its
    return list({one.path.resolve(): one for one in found}.values()), bad


def sift(candidates: Iterable[Candidate], there: Sequence[Candidate], *, allow_dirty: bool) -> Offer:
    """Take what is sound, belongs on the board and is not in records/ (`there`) yet; say why not of all else."""
    offer, runs, offered = Offer(), _by_run(there), _by_run(candidates)
    for run_id, copies in sorted(offered.items()):
        _sift_run(copies, runs[run_id], offer, allow_dirty)
    taken = {one.place for one in there}
    ids = {run_id for run_id, its in runs.items() if its} | {record.run_id for record in offer.records}
    for one in sorted(candidates, key=lambda one: (one.place, one.path)):
        if isinstance(one.item, Record):
            continue
        if one.place in taken:
            offer.known += 1
        elif why := _why_not(one.item, ids):
            offer.refused.append((one.name, why))
        else:
            offer.accepted.append(one)
            taken.add(one.place)
    return offer


def _by_run(candidates: Iterable[Candidate]) -> defaultdict[str, list[tuple[Candidate, Record]]]:
    runs: defaultdict[str, list[tuple[Candidate, Record]]] = defaultdict(list)
    for one in sorted(candidates, key=lambda one: (one.place, one.path)):
        if isinstance(one.item, Record):
            runs[one.item.run_id].append((one, one.item))
    return runs


def _sift_run(
    copies: Sequence[tuple[Candidate, Record]], there: Sequence[tuple[Candidate, Record]], offer: Offer, allow_dirty: bool
) -> None:
    """`copies`: those offered of one run, of which one is taken at most; `there`: in records/."""
    copies = [one for one in copies if one[1].status == "ok"] or copies  # of a run that failed first, the result
    candidate, record = copies[0]
    found = [clash for place, other in copies[1:] if (clash := _clash(record, place, other))][:1]
    for place, other in there:
        if clash := _clash(record, place, other):
            repeat = shlex.join(["bench", "verify", record.run_id, "--keep", "records", "--by", "NAME"])
            found = [f"{clash}, and records are never replaced; a repeat of that one is made with: {repeat}"]
    if there and not found:
        offer.known += 1
        return
    found = found or [*faults(record), *objections(record)]
    if not found and is_dirty(record) and not allow_dirty:
        found = ["its code held changes that were not committed; run it again from a clean checkout, or say --dirty"]
    if found:
        offer.refused.append((record.run_id, "; ".join(found)))
    else:
        offer.accepted.append(candidate)


def _clash(record: Record, place: Candidate, other: Record) -> str:
    """How it differs from another record of its run; empty: not at all."""
    if record.metrics is not None and other.metrics is not None and _result(record) == _result(other):
        return ""
    here, there = (f"{one.metrics.test_error:.3f} %" if one.metrics else one.status for one in (record, other))
    return f"it contradicts {one_line(place.path)} ({here} here, {there} there)"


def _result(record: Record) -> tuple[object, ...]:
    assert record.metrics is not None  # asked before
    what = (record.model, record.task, record.realization, record.protocol.name, record.protocol.digest)
    return (*what, record.data.fingerprint, record.metrics.test_count, answers_hash(record.metrics.wrong_answers))


def _why_not(item: Item, runs: set[str]) -> str:
    """Why a measurement is not taken; empty: it is."""
    if isinstance(item, Timing) and item.taints:
        return f"it is tainted ({one_line('; '.join(item.taints), 120)}), and would be in no table"
    run_id = getattr(item, "run_id", None)
    if run_id is not None and run_id not in runs:
        return "its run is neither submitted nor in records/"
    if not item.software.git_commit:
        return "it does not say of which commit it is; measure in a checkout, or set BENCH_COMMIT"
    return ""


def read_records(folder: Path) -> list[Candidate]:
    """All that lies in the folder of committed records. Raises RecordError: something there cannot be read."""
    found, bad = _read([folder])
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise RecordError(f"{bad[0][0]}{more} cannot be read: {bad[0][1]}; mend that first")
    return found


def _read(folders: Sequence[Path]) -> tuple[list[Candidate], list[tuple[str, str]]]:
    found, bad = [], []
    for one in read_each(folders, KINDS):
        if isinstance(one, Loaded):
            found.append(Candidate(one.path, one.item))
        elif isinstance(one, Unreadable):
            bad.append((one_line(one.path), one.reason))
    return found, bad


def _read_file(path: Path) -> Candidate:
    try:
        content = as_utf8(path.read_bytes())
        kind = kind_of_head(content[:HEAD]) or kind_of(content, path)
        if kind not in KINDS:
            raise RecordError("it is no record and no measurement of ours")
        return Candidate(path, parse(content, KINDS[kind]))
    except (OSError, RecordError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise RecordError(f"{one_line(path)} cannot be submitted: {why}") from None
