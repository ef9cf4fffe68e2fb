"""Which timings are of code that has changed since, and what measures them again. Needs no torch."""

from __future__ import annotations

import re
import shlex
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import datasets
from bench.errors import best_effort
from bench.machine.names import card_names, processor_name
from bench.machine.source import ROOT, git
from bench.step_code.identity import SourceTree, is_source, source_here
from leaderboard.records.timing import Timing
from leaderboard.timings.tables import device_of

State = Literal["fresh", "stale", "cannot tell"]


@dataclass(frozen=True)
class Freshness:
    """Whether the newest timing of a model on a device, a task, a precision and a batch size is of today's code, and why not.

    ``here``: this machine has such a device. ``known``: the suite itself has such a model.
    """

    timing: Timing
    state: State
    why: str
    here: bool
    known: bool

    def command(self, records: Path) -> str:
        """What to type, on that device, to measure it again."""
        return shlex.join([*shlex.split(self.timing.command), "--records", str(records)])


def freshness(timings: Iterable[Timing]) -> list[Freshness]:
    """Of the newest timing of each kind, tainted or not, the cheapest to measure first: by task, then by its step's time."""
    newest: dict[tuple[object, ...], Timing] = {}
    tainted: dict[tuple[object, ...], Timing] = {}
    for timing in sorted(timings, key=lambda timing: (not timing.taints, timing.measured, timing.name)):
        newest[kind := _kind(timing)] = timing
        if timing.taints:
            tainted[kind] = timing
    mine = names_here()
    tasks = list(datasets.TASKS)
    order = sorted(newest.values(), key=lambda t: (tasks.index(t.task) if t.task in tasks else -1, t.step, t.model, t.name))
    code = source_here().code_of
    found = []
    for timing in order:
        state, why = _state(timing, today := code(timing.model, timing.task))
        later = tainted.get(_kind(timing), timing)
        if state != "fresh" and later.measured > timing.measured:
            why += f"; a later one is tainted: {later.taints[0]}"
        found.append(Freshness(timing, state, why, timing.hardware.name in mine, today is not None))
    return found


def _kind(timing: Timing) -> tuple[object, ...]:
    return timing.task, timing.model, device_of(timing), timing.precision, timing.batch_size


def commands_here(found: Sequence[Freshness], records: Path) -> list[str]:
    """What measures again, on this machine, all that is not of today's code."""
    return [one.command(records) for one in found if one.here and one.known and one.state != "fresh"]


@cache
def names_here() -> frozenset[str]:
    """The names of this machine's devices."""
    return frozenset([processor_name(), *card_names()])


def _state(timing: Timing, today: str | None) -> tuple[State, str]:
    if today is None:
        return "cannot tell", "the suite itself has no such model; time it again with `bench time --plugin FILE`"
    if timing.taints:
        return "stale", f"it is tainted, and no other is there: {timing.taints[0]}"
    if timing.code is not None:
        same = timing.code.model == today
        return ("fresh", "") if same else ("stale", f"its code has changed since ({timing.code.model[:10]}, now {today[:10]})")
    commit = timing.software.git_commit
    if commit is None or timing.software.git_dirty is not False:
        return "cannot tell", "no commit says what ran: unknown, or with uncommitted changes"
    tree = source_at(commit)
    if tree is None:
        return "cannot tell", f"git does not know its commit {commit[:10]} here"
    same = tree.code_of(timing.model, timing.task) == today
    return ("fresh", "") if same else ("stale", f"its code has changed since commit {commit[:10]}")


@cache
def source_at(commit: str, root: Path = ROOT) -> SourceTree | None:
    """The suite's source as it was at a commit; None: git cannot tell."""
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return None
    texts = best_effort(_archived, commit, root)
    return SourceTree(texts) if texts else None


def _archived(commit: str, root: Path) -> dict[str, str]:
    """Raises OSError, SubprocessError, TarError."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "source.tar"
        git(root, "archive", "--format=tar", f"--output={file}", commit, "models", "bench")
        with tarfile.open(file) as archive:
            opened = {member.name: archive.extractfile(member) for member in archive if is_source(member.name)}
            return {name: text.read().decode("utf-8", "replace") for name, text in opened.items() if text is not None}
