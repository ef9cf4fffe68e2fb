"""The tables of timings as Markdown: the same bytes for the same timings."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import markup
from leaderboard.board.markup import NOTHING, code, escape
from leaderboard.records.timing import Timing, quartiles
from leaderboard.timings.tables import DeviceColumn, TimingTable, baseline_of, build_tables, column_of, find_device

_EXPLANATION = """\
Median time of a training step (forward, backward, optimizer) with its quartiles, in milliseconds; `× cnn` is that time as a
multiple of the plain CNN's in the same column, and the rank is the model's place in the column, the fastest first. A column is
one device with its threads and its version of torch. Tainted timings are in no table."""
_MIXED = (
    "**Different precisions or batch sizes stand side by side here, because `--mixed` asked for it: see each column's head.**"
)


def timings_markdown(timings: Sequence[Timing], *, baseline: str | None = None, mixed: bool = False) -> str:
    """All tables of the timings, those tainted left out and listed. ``baseline``: the device that others are compared with.

    Raises RecordError: no such device.
    """
    clean = [timing for timing in timings if not timing.tainted]
    tables = build_tables(clean, mixed=mixed)
    lines = ["# Timings", "", _EXPLANATION, ""]
    if mixed:
        lines += [_MIXED, ""]
    if not tables:
        lines += ["There are no timings yet that are not tainted. Make some with `bench time --all`.", ""]
    device = _baseline(clean, tables, baseline)
    for table in tables:
        lines += _table(table, device, mixed)
    if not mixed:
        lines += _not_compared(tables)
    lines += _tainted([timing for timing in timings if timing.tainted])
    return "\n".join(lines).rstrip("\n") + "\n"


def _baseline(timings: Sequence[Timing], tables: Sequence[TimingTable], wanted: str | None) -> str:
    """The device wanted, else the one with most timings."""
    if wanted is not None:
        return find_device(wanted, tables)
    devices = [column_of(timing).device for timing in timings]
    return min(devices, key=lambda device: (-devices.count(device), device), default="")


def _settings(column: DeviceColumn) -> str:
    return f"batch {column.batch_size}, {column.precision}"


def _table(table: TimingTable, device: str, mixed: bool) -> list[str]:
    base = baseline_of(table, device)
    title = escape(table.task) + ("" if mixed else f", {_settings(table.columns[0])}")
    lines = [f"## {title}", ""]
    heads, several = [], len({column.torch for column in table.columns}) > 1
    for column in table.columns:
        name = escape(column.device) + (f", torch {escape(column.torch)}" if several else "")
        name += f" ({_settings(column)})" if mixed else ""
        heads += [f"{name}: ms", "× cnn", "rank"]
    rows = [
        [code(model), *(text for column in table.columns for text in _cell(table, model, column, base))]
        for model in table.models
    ]
    others = f"{markup.plural(len(table.shared), 'model')} besides the CNN"
    means = [text for column in table.columns for text in (NOTHING, _number(table.mean_ratio(column)), NOTHING)]
    rows.append([f"geometric mean of {others}" + (" that all columns have" if len(table.columns) > 1 else ""), *means])
    if base is not None and len(table.columns) > 1:
        speeds = [text for column in table.columns for text in (f"{_number(table.speedup(column, base))} ×", NOTHING, NOTHING)]
        rows.append([f"speed, {escape(base.device)} = 1 (geometric mean of the models of both)", *speeds])
    lines += [*markup.table(["Model", *heads], rows, heads), ""]
    if base is not None and len(table.columns) > 1:
        lines += [f"↑ and ↓: places gained or lost against {escape(base.device)}, among the models that both columns have.", ""]
    elif base is None and device:
        lines += [f"No comparison with {escape(device)}: it has no timing here at {_settings(table.columns[0])}.", ""]
    return lines + _details(table)


def _cell(table: TimingTable, model: str, column: DeviceColumn, base: DeviceColumn | None) -> list[str]:
    cell = table.cells.get((model, column))
    if cell is None:
        return [NOTHING] * 3
    gained = table.places_gained(model, column, base) if base is not None and base != column else None
    arrow = "" if not gained else f" ↑{gained}" if gained > 0 else f" ↓{-gained}"
    return [_milliseconds(cell.timing.step_seconds), _number(cell.ratio), f"{cell.rank}{arrow}"]


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
    for timing in timings:
        why = escape("; ".join(timing.tainted))
        rows.append([code(timing.task), code(timing.model), escape(column_of(timing).device), code(timing.name), why])
    count = markup.plural(len(timings), "tainted timing")
    return markup.folded(f"{count}, in no table", markup.table(["Task", "Model", "Device", "Name", "Why"], rows))
