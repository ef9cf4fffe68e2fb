"""The text of a pull request: what is added, beside what is published and what stood there, and how far it was checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.submit.soundness import is_dirty
from leaderboard.board.markup import NOTHING, code, count_of, difference, escape, mean_std, plural, table
from leaderboard.board.tables import Row, build_sections
from leaderboard.reading.collection import Collection
from leaderboard.records.measurement import Measurement
from leaderboard.records.schema import Record

Place = tuple[str, str, str, str]  # protocol, digest, task, model: a row of the board
SORTS = {"timings": "timing", "equivariance": "equivariance error", "generalisation": "scale sweep", "repeats": "repeat"}


@dataclass(frozen=True)
class Repeated:
    """The run that was repeated, whether the two agree, and why."""

    run_id: str
    agrees: bool
    lines: Sequence[str]


@dataclass(frozen=True)
class Request:
    """What a pull request adds to the board. `before` and `after`: everything in records/, without it and with it."""

    records: Sequence[Record]
    measurements: Sequence[Measurement]
    weights: int
    before: Collection
    after: Collection
    repeated: Repeated | None
    unknown_commits: Sequence[str] = ()
    yet_to_repeat: str = ""  # the run that will be repeated before anything is added

    @property
    def title(self) -> str:
        """At most 72 characters."""
        if not self.records:
            return f"Records: {_counted(self.measurements)}"[:72]
        models, tasks, protocols = (sorted(set(names)) for names in zip(*map(_names, self.records), strict=True))
        said = f"{_few(models)} on {_few(tasks)}, {_few(protocols)}"
        whole = f"Records: {said}, {plural(len(self.records), 'run')}"
        return whole if len(whole) <= 72 else f"Records: {plural(len(self.records), 'run')} of {plural(len(models), 'model')}"

    def body(self) -> str:
        """Markdown."""
        parts = [*self._runs(), *self._measured(), *self._made(), *self._repeated(), *self._checklist()]
        return "\n".join(parts).rstrip("\n") + "\n"

    def _runs(self) -> list[str]:
        if not self.records:
            return []
        added: defaultdict[Place, list[Record]] = defaultdict(list)
        for record in self.records:
            added[_place(record)].append(record)
        before, after = _rows(self.before), _rows(self.after)
        header = [
            "Model",
            "Task",
            "Protocol",
            "Realizations",
            "Error %",
            "The row so far",
            "The row now",
            "Published",
            "Difference",
        ]
        rows = [_cells(place, its, before.get(place), after.get(place)) for place, its in sorted(added.items())]
        return [
            *table(header, rows),
            "",
            "Mean ± sample standard deviation over n realizations; difference: now minus published.",
            "",
        ]

    def _measured(self) -> list[str]:
        told = [*([_counted(self.measurements)] if self.measurements else []), *_weights(self.weights)]
        return [f"Beside them: {', '.join(told)}.", ""] if told else []

    def _made(self) -> list[str]:
        items: list[Record | Measurement] = [*self.records, *self.measurements]
        hardware = Counter(f"{one.hardware.name}, {plural(one.hardware.threads, 'thread')}" for one in items)
        code_of = Counter(
            (one.software.git_commit or "unknown")[:12] + (" + changes" if is_of_changes(one) else "") for one in items
        )
        lines = [f"- on {escape(name)}: {plural(count, 'file')}" for name, count in hardware.most_common()]
        return [
            *lines,
            *(f"- at commit {code(commit)}: {plural(count, 'file')}" for commit, count in code_of.most_common()),
            "",
        ]

    def _repeated(self) -> list[str]:
        if self.yet_to_repeat:
            return [f"To be repeated before anything is added: {code(self.yet_to_repeat)}", ""]
        if self.repeated is None and not self.records:
            return []
        if self.repeated is None:
            return ["**Nothing was repeated** (`--no-verify`): nobody has seen these numbers twice.", ""]
        verdict = "agrees" if self.repeated.agrees else "**does not agree**"
        head = f"One run was repeated from its record (`bench verify`), and {verdict}: {code(self.repeated.run_id)}"
        return [head, "", *(f"- {escape(line, 1000)}" for line in self.repeated.lines), ""]

    def _checklist(self) -> list[str]:
        unknown = ", ".join(code(commit[:12]) for commit in self.unknown_commits)
        dirty = sum(map(is_dirty, self.records))
        checks = [
            (True, "each record's digest, id, seeds, data and result follow from one another (`bench submit --check`)"),
            (not dirty, "the code of each run is a commit" + (f", but for {dirty} whose code held changes" if dirty else "")),
            (
                not unknown,
                "these commits are in this repository" + (f", but for {unknown}: where are they to be had?" if unknown else ""),
            ),
            (self.repeated is not None and self.repeated.agrees, "one of the new runs was repeated, and agrees"),
            (True, "LEADERBOARD.md, README.md, docs/board and docs/timings are what the records give"),
            (False, "what is new about these runs is said here: why they were made, and on whose machine"),
        ]
        return ["Checklist:", "", *(f"- [{'x' if done else ' '}] {text}" for done, text in checks), ""]


def is_of_changes(one: Record | Measurement) -> bool:
    """Whether its code held changes beyond the commit."""
    return bool(one.software.git_dirty)


def _cells(place: Place, records: list[Record], before: Row | None, after: Row | None) -> list[str]:
    protocol, _, task, model = place
    records = sorted(records, key=lambda record: record.realization)
    errors = ", ".join(f"{record.metrics.test_error:.2f}" for record in records if record.metrics)
    published = after.published.text if after and after.published else NOTHING
    gap = difference(after.difference) if after and after.difference is not None else NOTHING
    numbers = ", ".join(str(record.realization) for record in records)
    return [code(model), code(task), code(protocol), numbers, errors, _mean(before), _mean(after), published, gap]


def _mean(row: Row | None) -> str:
    if row is None or row.summary is None:
        return NOTHING
    return f"{mean_std(row.summary.mean, row.summary.std)} (n = {count_of(row.summary, row.expected)})"


def _rows(collection: Collection) -> dict[Place, Row]:
    return {
        (section.protocol, table.digest, table.task, row.model): row
        for section in build_sections(collection.runs) for table in section.tables for row in table.rows
    }  # fmt: skip


def _place(record: Record) -> Place:
    return record.protocol.name, record.protocol.digest, record.task, record.model


def _names(record: Record) -> tuple[str, str, str]:
    return record.model, record.task, record.protocol.name


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _counted(measurements: Iterable[Measurement]) -> str:
    counts = Counter(SORTS[one.kind] for one in measurements)
    return ", ".join(plural(count, sort) for sort, count in sorted(counts.items()))


def _weights(count: int) -> list[str]:
    return [f"weights of {plural(count, 'run')}"] if count else []
