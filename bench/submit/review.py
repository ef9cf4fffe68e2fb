"""What a reviewer would look at first: that records/ only grew, that each of its files is sound, that the board is theirs.

Takes no torch: a machine that checks pull requests installs what reads records, and nothing else.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.machine.source import git
from bench.submit.board import RECORDS, stale
from bench.submit.candidates import KINDS, Candidate
from bench.submit.soundness import faults, is_dirty, objections
from bench.submit.staging import copy_of
from leaderboard.errors import one_line
from leaderboard.reading.collection import collect
from leaderboard.reading.folders import ForeignFile, Loaded, Unreadable, read_each
from leaderboard.records.repeat import Repeat, digest_of
from leaderboard.records.schema import Record

WEIGHTS = "weights"
ADDED = "A"


@dataclass(frozen=True)
class Review:
    """How many files were looked at, what is wrong, one line each, and what somebody should look at."""

    files: int
    added: int | None  # since the base; None: there is none to compare with
    problems: list[str]
    notes: list[str]


def review(root: Path, base: str | None) -> Review:
    """Look at a checkout. `base`: what it is to be merged into. Raises BenchError: git does not know the base."""
    changes = None if base is None else _changes(root, base)
    added = {path for status, path in changes or () if status == ADDED}
    problems = [f"{path}: records are never edited, moved or deleted ({_WORDS.get(status, status)}); take back the change"
                for status, path in changes or () if status != ADDED]  # fmt: skip
    notes: list[str] = []
    found: list[Candidate] = []
    for one in read_each([root / RECORDS], KINDS):
        if isinstance(one, Loaded):
            found.append(Candidate(one.path, one.item))
        elif isinstance(one, Unreadable):
            problems.append(f"{_name(root, one.path)}: {one.reason}")
        elif isinstance(one, ForeignFile):
            problems.append(f"{RECORDS / one.name}: it is no record and no measurement of ours")
    for candidate in found:
        name = _name(root, candidate.path)
        if candidate.path.relative_to(root / RECORDS) != candidate.place:
            problems.append(f"{name}: its place is {RECORDS / candidate.place}")
        if isinstance(record := candidate.item, Record):
            wrong = faults(record) + (objections(record) if name in added else [])
            problems += [f"{name}: {fault}" for fault in wrong]
            if name in added and is_dirty(record):
                notes.append(f"{name}: its code held changes beyond the commit, which nobody else can see")
    problems += [*_of_repeats(root, found), *_of_other_files(root, found)]
    problems += list(collect(root / RECORDS).contradictions)
    with copy_of(root) as copy:
        problems += stale(root, copy)
    return Review(len(found), None if changes is None else len(added), problems, notes)


_WORDS = {"M": "edited", "D": "deleted", "T": "of another type", "U": "in conflict"}


def _changes(root: Path, base: str) -> list[tuple[str, str]]:
    """(status, path) of every file below records/ that differs from where the branches parted; not yet committed ones too."""
    try:
        parted = git(root, "merge-base", base, "HEAD")
        told = git(root, "diff", "--name-status", "--no-renames", "-z", parted, "--", str(RECORDS)).split("\0")
        new = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", str(RECORDS)).split("\0")
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(
            f"git does not know {one_line(base, 80)!r} here; fetch it, and give a branch or commit: bench submit --check "
            "--base origin/main"
        ) from error
    pairs = list(zip(told[::2], told[1::2], strict=False))
    return pairs + [(ADDED, path) for path in new if path]


def _of_repeats(root: Path, found: Sequence[Candidate]) -> Iterator[str]:
    """A repeat names the record that it repeats by its content."""
    digests: defaultdict[str, set[str]] = defaultdict(set)
    for one in found:
        if isinstance(one.item, Record):
            digests[one.item.run_id].add(digest_of(one.item))
    for one in found:
        if isinstance(one.item, Repeat) and one.item.record_digest not in digests[one.item.run_id]:
            yield f"{_name(root, one.path)}: it repeats no record that lies in records/, by its digest"


def _of_other_files(root: Path, found: Sequence[Candidate]) -> Iterator[str]:
    """Beside JSON there are weights, of runs that are there, as their records know them."""
    hashes = {one.item.run_id: one.item.weights_sha256 for one in found if isinstance(one.item, Record)}
    for path in sorted((root / RECORDS).rglob("*")):
        if path.suffix == ".json" or not path.is_file():
            continue
        name = _name(root, path)
        if path.parent != root / RECORDS / WEIGHTS or path.suffix != ".safetensors":
            yield f"{name}: it is neither JSON nor weights (records/weights/RUN_ID.safetensors)"
        elif hashes.get(path.stem) != hashlib.sha256(path.read_bytes()).hexdigest():
            yield f"{name}: these are not the weights that a record in records/ names by their SHA-256"


def _name(root: Path, path: Path) -> str:
    return one_line(path.relative_to(root).as_posix())
