"""The tables of timings as Markdown: the same bytes for the same timings."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import markup
from leaderboard.board.markup import NOTHING, code, escape
from leaderboard.records.timing import Timing, quartiles
from leaderboard.timings.tables import (
    DeviceColumn,
    TimingTable,
    baseline_device,
    baseline_of,
    build_tables,
    column_of,
    device_of,
)
from leaderboard.timings.versions import commit, mark, versions_told

_EXPLANATION = """\
Median time of a training step (forward, backward, optimizer) with its quartiles, in milliseconds. A column is one device with
its threads and its version of torch. **Only what ran the same code is compared**: `× cnn` is the time as a multiple of the
plain CNN's in the same column, timed with the same layers; the rank is the model's place, the fastest first, among the models
timed there with the same layers; a device is set against another over the models that ran the same code on both. Where that
cannot be, the cell says so. Tainted timings are in no table."""
_MIXED = (
    "**Different precisions or batch sizes stand side by side here, because `--mixed` asked for it: see each column's head.**"
)
_OTHER_CODE = "other code"


def timings_markdown(
    timings: Sequence[Timing], *, baseline: str | None = None, mixed: bool = False, figure: str | None = None
) -> str:
    """All tables of the timings, those tainted left out and listed.

    ``baseline``: the device that others are compared with. ``figure``: the path of their figure, as seen from the text.
    Raises RecordError: no such device.
    """
    tables = build_tables(timings, mixed=mixed)
    lines = ["# Timings", "", _EXPLANATION, ""]
    if figure is not None:
        lines += [f"![A training step of each model as a multiple of the plain CNN's, by device]({figure})", ""]
    if mixed:
        lines += [_MIXED, ""]
    if not tables:
        lines += ["There are no timings yet that are not tainted. Make some with `bench time --all`.", ""]
    device = baseline_device(timings, tables, baseline)
    for table in tables:
        lines += _table(table, device, mixed)
    if not mixed:
        lines += _not_compared(tables)
    lines += _tainted([timing for timing in timings if timing.taints])
    return "\n".join(lines).rstrip("\n") + "\n"


def _settings(column: DeviceColumn) -> str:
    return f"batch {column.batch_size}, {column.precision}"


def _table(table: TimingTable, device: str, mixed: bool) -> list[str]:
    base = baseline_of(table, device)
    title = escape(table.task) + ("" if mixed else f", {_settings(table.columns[0])}")
    heads, several = [], len({column.torch for column in table.columns}) > 1
    for column in table.columns:
        name = escape(column.device) + (f", torch {escape(column.torch)}" if several else "")
        name += f" ({_settings(column)})" if mixed else ""
        heads += [f"{name}: ms", "× cnn", "rank"]
    rows = [
        [code(model), *(text for column in table.columns for text in _cell(table, model, column, base))]
        for model in table.models
    ]
    rows += _means(table)
    others = [column for column in table.columns if base is not None and column != base]
    if base is not None and any(table.speed(column, base) for column in others):
        speeds = [text for column in table.columns for text in (_speed(table, column, base), NOTHING, NOTHING)]
        rows.append(
            [f"speed, {escape(base.device)} = 1 (geometric mean of the models that ran the same code on both)", *speeds]
        )
    lines = [f"## {title}", "", *markup.table(["Model", *heads], rows, heads), ""]
    lines += _versions(table) + _against(table, device, base, others)
    return lines + _details(table)


def _means(table: TimingTable) -> list[list[str]]:
    if not table.shared:
        return []
    label = f"geometric mean of {markup.plural(len(table.shared), 'model')} besides the CNN"
    label += " that all columns have, of the same code" if len(table.columns) > 1 else ""
    means = [text for column in table.columns for text in (NOTHING, _number(table.mean_ratio(column)), NOTHING)]
    return [[label, *means]]


def _speed(table: TimingTable, column: DeviceColumn, base: DeviceColumn) -> str:
    speed = table.speed(column, base)
    return _OTHER_CODE if speed is None else f"{speed.factor:.2f} × ({markup.plural(len(speed.models), 'model')})"


def _versions(table: TimingTable) -> list[str]:
    """Which code the numbers behind the times stand for; loud, where there are several."""
    told = versions_told(table)
    if not told:
        return []
    loud = f"**The times are of {len(told)} versions of the layers: {escape('; '.join(told), 2000)}.**"
    return [f"{loud} Times and multiples of different versions do not compare.", ""]


def _against(table: TimingTable, device: str, base: DeviceColumn | None, others: Sequence[DeviceColumn]) -> list[str]:
    """How the other columns compare with the baseline's, if at all."""
    if base is None:
        return (
            [f"No comparison with {escape(device)}: it has no timing here at {_settings(table.columns[0])}.", ""]
            if device
            else []
        )
    lines, alone = [], [column for column in others if table.speed(column, base) is None]
    if len(alone) < len(others):
        lines.append(
            f"↑ and ↓: places gained or lost against {escape(base.device)}, among the models that ran the same code on both."
        )
    if alone:
        names = ", ".join(dict.fromkeys(escape(column.device) for column in alone))
        lines.append(f"**No speed of {names} against {escape(base.device)}: no model was timed with the same code on both.**")
    return [" ".join(lines), ""] if lines else []


def _cell(table: TimingTable, model: str, column: DeviceColumn, base: DeviceColumn | None) -> list[str]:
    cell = table.cells.get((model, column))
    if cell is None:
        return [NOTHING] * 3
    gained = table.places_gained(model, column, base) if base is not None and base != column else None
    arrow = "" if not gained else f" ↑{gained}" if gained > 0 else f" ↓{-gained}"
    ratio = _number(cell.ratio) + (f" ({_OTHER_CODE})" if cell.other_code else "")
    time = _milliseconds(cell.timing.step_seconds) + mark(table, cell.timing)
    return [time, ratio, f"{cell.rank} of {cell.of}{arrow}" if cell.of > 1 else NOTHING]


def _milliseconds(samples: list[float] | None) -> str:
    if samples is None:
        return NOTHING
    found = quartiles(samples)
    low, median, high = (
        f"{1000 * value:.3g}" if value < 1 else f"{1000 * value:.0f}" for value in (found.low, found.median, found.high)
    )
    return f"{median} ({low}–{high})"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _details(table: TimingTable) -> list[str]:
    rows = []
    for (model, column), cell in sorted(table.cells.items()):
        timing = cell.timing
        rows.append(
            {
                "Model": code(model),
                "Device": escape(column.device),
                "n": str(len(timing.step_seconds)),
                "Images/s": f"{timing.batch_size / quartiles(timing.inference_seconds).median:.0f}",
                "Latency ms": _milliseconds(timing.latency_seconds),
                "Peak MB": NOTHING if timing.peak_memory_bytes is None else f"{timing.peak_memory_bytes / 1e6:.0f}",
                "GFLOP/step": f"{timing.step_operations / 1e9:.1f}",
                "Of matmul rate": f"{timing.matmul_fraction:.0%}",
                "Of copy rate": f"{timing.copy_fraction:.0%}",
                "CUDA graph ms": _milliseconds(timing.graph_step_seconds),
                "Compiled ms": _milliseconds(timing.compiled_step_seconds),
                "Compile s": NOTHING if timing.compile_seconds is None else f"{timing.compile_seconds:.0f}",
                "Measured": f"{timing.measured:%Y-%m-%d}",
                "Code": escape(commit(timing)),
                "Command": code(timing.command),
            }
        )
    header = list(rows[0])
    return markup.folded(
        markup.plural(len(rows), "timing"), markup.table(header, [list(row.values()) for row in rows], header[2:12])
    )


def _not_compared(tables: Sequence[TimingTable]) -> list[str]:
    """Says which tables of one task stay apart, where the reader may have expected one."""
    lines = []
    for task in dict.fromkeys(table.task for table in tables):
        settings = [_settings(table.columns[0]) for table in tables if table.task == task]
        if len(settings) > 1:
            lines.append(
                f"{escape(task)}: {'; '.join(settings)} are not compared with each other; `--mixed` does it all the same."
            )
    return [*lines, ""] if lines else []


def _tainted(timings: Sequence[Timing]) -> list[str]:
    if not timings:
        return []
    rows = []
    for timing in sorted(timings, key=lambda timing: (timing.task, timing.model, timing.measured, timing.name)):
        column = column_of(timing)
        rows.append(
            [
                code(timing.task),
                code(timing.model),
                escape(device_of(timing)),
                _settings(column),
                _milliseconds(timing.step_seconds),
                f"{timing.measured:%Y-%m-%d}",
                escape(commit(timing)),
                escape("; ".join(timing.taints), 1000),
                code(timing.name),
            ]
        )
    count = markup.plural(len(timings), "tainted timing")
    header = ["Task", "Model", "Device", "Settings", "Step ms", "Measured", "Code", "Why", "Name"]
    return markup.folded(f"{count}, in no table", markup.table(header, rows, ["Step ms"]))
