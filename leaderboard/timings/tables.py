"""Timings of several devices side by side. Pure: from timings to tables, no files, no text.

One table holds timings of one task at one batch size and precision. Within it a column is a device with its threads and its
version of torch, and a model's ratio is to the plain CNN in the same column.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.errors import RecordError, one_line
from leaderboard.records.timing import Timing

PLAIN = "cnn"


@dataclass(frozen=True, order=True)
class DeviceColumn:
    """What a time hangs on besides the model and the task."""

    device: str
    torch: str
    precision: str
    batch_size: int


@dataclass(frozen=True)
class Cell:
    """One model in one column: its timing, its time as a multiple of the plain CNN's, its rank among the column's models."""

    timing: Timing
    ratio: float | None
    rank: int


@dataclass(frozen=True)
class TimingTable:
    """``mean_ratio``: geometric mean of the ratios over the models that all columns have (``shared``, without the CNN)."""

    task: str
    columns: tuple[DeviceColumn, ...]
    cells: dict[tuple[str, DeviceColumn], Cell]
    shared: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """By name, the plain CNN first."""
        return sorted({model for model, _ in self.cells}, key=lambda model: (model != PLAIN, model))

    def mean_ratio(self, column: DeviceColumn) -> float | None:
        """None: there is nothing to take a mean of."""
        ratios = [ratio for model in self.shared if (ratio := self.cells[model, column].ratio) is not None]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios and len(ratios) == len(self.shared) else None

    def speedup(self, column: DeviceColumn, baseline: DeviceColumn) -> float | None:
        """How many times as fast as the baseline: geometric mean over the models that both have, the CNN included."""
        both = [model for model in self.models if (model, column) in self.cells and (model, baseline) in self.cells]
        logs = [math.log(self.cells[m, baseline].timing.step / self.cells[m, column].timing.step) for m in both]
        return math.exp(sum(logs) / len(logs)) if logs else None

    def places_gained(self, model: str, column: DeviceColumn, baseline: DeviceColumn) -> int | None:
        """Places that a model gains on this column against the baseline, among the models that both have."""
        both = {m for m in self.models if (m, column) in self.cells and (m, baseline) in self.cells}
        if model not in both:
            return None

        def place(where: DeviceColumn) -> int:
            mine = self.cells[model, where].timing.step
            return sum(self.cells[other, where].timing.step < mine for other in both)

        return place(baseline) - place(column)


def column_of(timing: Timing) -> DeviceColumn:
    """The column that a timing belongs to."""
    hardware = timing.hardware
    threads = f", {hardware.threads} thread{'' if hardware.threads == 1 else 's'}" if hardware.device == "cpu" else ""
    return DeviceColumn(one_line(hardware.name) + threads, one_line(timing.software.torch), timing.precision, timing.batch_size)


def build_tables(timings: Iterable[Timing], *, mixed: bool = False) -> tuple[TimingTable, ...]:
    """A table per task, batch size and precision; with ``mixed`` one per task, whatever the settings of its columns.

    Of several timings of a model in one column the latest counts.
    """
    groups: defaultdict[tuple[str, ...], dict[tuple[str, DeviceColumn], Timing]] = defaultdict(dict)
    for timing in sorted(timings, key=lambda timing: (timing.measured, timing.name)):
        settings = () if mixed else (timing.precision, f"{timing.batch_size:09}")
        groups[timing.task, *settings][timing.model, column_of(timing)] = timing
    return tuple(_table(task, found) for (task, *_), found in sorted(groups.items()))


def _table(task: str, found: dict[tuple[str, DeviceColumn], Timing]) -> TimingTable:
    columns = tuple(sorted({column for _, column in found}))
    cells = {}
    for (model, column), timing in found.items():
        plain = found.get((PLAIN, column))
        rank = 1 + sum(other.step < timing.step for (_, where), other in found.items() if where == column)
        cells[model, column] = Cell(timing, timing.step / plain.step if plain else None, rank)
    models = {model for model, _ in cells} - {PLAIN}
    shared = tuple(sorted(model for model in models if all((model, column) in cells for column in columns)))
    return TimingTable(task, columns, cells, shared)


def find_device(name: str, tables: Sequence[TimingTable]) -> str:
    """The one device whose name contains ``name``, letters' case aside. Raises RecordError: none, or several."""
    known = sorted({column.device for table in tables for column in table.columns})
    matching = [device for device in known if name.lower() == device.lower()] or [
        device for device in known if name.lower() in device.lower()
    ]
    if not known:
        raise RecordError("there is no timing to compare with --baseline: none is untainted; leave it out to see why")
    if len(matching) != 1:
        what = "matches several devices" if matching else "is none of the devices"
        raise RecordError(f"--baseline {one_line(name)!r} {what}: {'; '.join(matching or known)}; give one of them")
    return matching[0]


def baseline_of(table: TimingTable, device: str) -> DeviceColumn | None:
    """The column of this device in a table, of the latest torch where there are several. None: it has none there."""
    return max((column for column in table.columns if column.device == device), default=None)
