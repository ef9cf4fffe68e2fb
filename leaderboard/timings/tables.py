"""Timings of several devices side by side. Pure: from timings to tables, no files, no text.

One table holds timings of one task at one batch size and precision. Within it a column is a device with its threads and its
version of torch. What is compared ran the same code: a model's ratio is to the plain CNN as it was timed with the same layers,
its rank is among the models timed so, and a device is compared with another over the models that ran the same code on both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from leaderboard.errors import RecordError, one_line
from leaderboard.records.timing import Timing

PLAIN = "cnn"


@dataclass(frozen=True, order=True)
class DeviceColumn:
    """What a time hangs on besides the model, the task and the code."""

    device: str
    torch: str
    precision: str
    batch_size: int


@dataclass(frozen=True)
class Cell:
    """One model in one column: its newest timing, and what that is as a multiple of the plain CNN's.

    ``other_code``: the plain CNN was never timed there with the same layers, and the ratio is to one timed with others.
    ``rank``: the model's place, the fastest first, among the ``of`` models that were timed there with the same layers.
    """

    timing: Timing
    ratio: float | None
    other_code: bool
    rank: int
    of: int


@dataclass(frozen=True)
class Speed:
    """How many times as fast as another device: the geometric mean over the models that ran the same code on both."""

    factor: float
    models: tuple[str, ...]


@dataclass(frozen=True)
class TimingTable:
    """``history``: all timings of a model in a column, the newest last; ``cells``: what the newest says."""

    task: str
    columns: tuple[DeviceColumn, ...]
    cells: Mapping[tuple[str, DeviceColumn], Cell]
    history: Mapping[tuple[str, DeviceColumn], Sequence[Timing]]

    @cached_property
    def models(self) -> list[str]:
        """By name, the plain CNN first."""
        return sorted({model for model, _ in self.cells}, key=lambda model: (model != PLAIN, model))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The models besides the CNN that all columns have, of the same code in all, each beside a CNN with the same layers."""
        rows = {model: [self.cells.get((model, column)) for column in self.columns] for model in self.models if model != PLAIN}
        found = {
            model: [cell for cell in cells if cell and cell.ratio and not cell.other_code] for model, cells in rows.items()
        }
        return tuple(
            model
            for model, cells in found.items()
            if len(cells) == len(self.columns) and len({cell.timing.own_code for cell in cells}) == 1
        )

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """The versions of the layers (``plain_code``) that the cells' timings ran, by the time at which each was met first."""
        timings = sorted((cell.timing for cell in self.cells.values()), key=lambda timing: (timing.measured, timing.name))
        return tuple(dict.fromkeys(timing.plain_code for timing in timings))

    def mean_ratio(self, column: DeviceColumn) -> float | None:
        """Geometric mean of the ratios of ``shared``. None: there is nothing to take a mean of."""
        ratios = [ratio for model in self.shared if (ratio := self.cells[model, column].ratio) is not None]
        return _geometric_mean(ratios) if ratios else None

    def speed(self, column: DeviceColumn, baseline: DeviceColumn) -> Speed | None:
        """A column's speed against the baseline's, the CNN included. None: no model ran the same code on both."""
        both = {model: pair for model in self.models if (pair := self._pair(model, column, baseline))}
        if not both:
            return None
        return Speed(_geometric_mean([base.step / other.step for other, base in both.values()]), tuple(both))

    def places_gained(self, model: str, column: DeviceColumn, baseline: DeviceColumn) -> int | None:
        """Places that a model gains on this column against the baseline, among the models that ran the same code on both."""
        both = {other: pair for other in self.models if (pair := self._pair(other, column, baseline))}
        if model not in both:
            return None
        here, there = ([pair[side].step for pair in both.values()] for side in (0, 1))
        return sum(step < both[model][1].step for step in there) - sum(step < both[model][0].step for step in here)

    def _pair(self, model: str, column: DeviceColumn, baseline: DeviceColumn) -> tuple[Timing, Timing] | None:
        """The newest timings of a model in two columns that ran the same code."""
        of_code = {timing.own_code: timing for timing in self.history.get((model, baseline), ())}
        here = [timing for timing in self.history.get((model, column), ()) if timing.own_code in of_code]
        return (here[-1], of_code[here[-1].own_code]) if here else None


def device_of(timing: Timing) -> str:
    """The device's name; a processor's with the number of threads."""
    hardware = timing.hardware
    threads = f", {hardware.threads} thread{'' if hardware.threads == 1 else 's'}" if hardware.device == "cpu" else ""
    return one_line(hardware.name) + threads


def column_of(timing: Timing) -> DeviceColumn:
    """The column that a timing belongs to."""
    return DeviceColumn(device_of(timing), one_line(timing.software.torch), timing.precision, timing.batch_size)


def build_tables(timings: Iterable[Timing], *, mixed: bool = False) -> tuple[TimingTable, ...]:
    """A table per task, batch size and precision; with ``mixed`` one per task, whatever the settings of its columns.

    Tainted timings are in none. Of several timings of a model in one column the newest is shown.
    """
    groups: defaultdict[tuple[str, ...], defaultdict[tuple[str, DeviceColumn], list[Timing]]]
    groups = defaultdict(lambda: defaultdict(list))
    for timing in sorted(timings, key=lambda timing: (timing.measured, timing.name)):
        if not timing.taints:
            settings = () if mixed else (timing.precision, f"{timing.batch_size:09}")
            groups[timing.task, *settings][timing.model, column_of(timing)].append(timing)
    return tuple(_table(task, dict(found)) for (task, *_), found in sorted(groups.items()))


def _table(task: str, history: Mapping[tuple[str, DeviceColumn], Sequence[Timing]]) -> TimingTable:
    columns = tuple(sorted({column for _, column in history}))
    return TimingTable(
        task, columns, {where: _cell(where[1], timings[-1], history) for where, timings in history.items()}, history
    )


def _cell(column: DeviceColumn, timing: Timing, history: Mapping[tuple[str, DeviceColumn], Sequence[Timing]]) -> Cell:
    plain = history.get((PLAIN, column), ())
    same = [other for other in plain if other.own_code == timing.plain_code]
    ratio = timing.step / (same or plain)[-1].step if plain else None
    # Of every model the newest with these layers, which may be older than the one that is shown.
    alike = {
        model: timings_alike[-1].step
        for (model, where), timings in history.items()
        if where == column and (timings_alike := [other for other in timings if other.plain_code == timing.plain_code])
    }
    rank = 1 + sum(step < timing.step for model, step in alike.items() if model != timing.model)
    return Cell(timing, ratio, bool(plain and not same), rank, len(alike))


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


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


def baseline_device(timings: Iterable[Timing], tables: Sequence[TimingTable], wanted: str | None = None) -> str:
    """The device wanted, else the one with most untainted timings; empty: there is none. Raises RecordError: no such device."""
    if wanted is not None:
        return find_device(wanted, tables)
    devices = [device_of(timing) for timing in timings if not timing.taints]
    return min(devices, key=lambda device: (-devices.count(device), device), default="")


def baseline_of(table: TimingTable, device: str) -> DeviceColumn | None:
    """The column of this device in a table, of the latest torch where there are several. None: it has none there."""
    return max((column for column in table.columns if column.device == device), default=None)
