"""Timings and their tables as plain JSON: numbers to compute with, under keys that stay. No text is escaped.

    {"timings": [timing, ...], "tables": [table, ...]}

A timing: name, model, task, device (with its threads), kind ("cpu" or "cuda"), threads, torch, python, cuda, precision,
batch_size, measured (UTC), commit, dirty, code and plain_code (what the model's step ran, and what the plain network's would
have: equal texts, equal code), n; step_ms, inference_ms, latency_ms, graph_step_ms, compiled_step_ms, each {median, low, high}
with the quartiles, or null; compile_seconds, peak_memory_bytes, step_operations, step_bytes, matmul_fraction, copy_fraction,
taints (texts; empty: it may be compared), command.

A table: task, baseline (device or null), columns [{device, torch, precision, batch_size, mean_ratio, speed, speed_models}],
shared (the models of mean_ratio), rows [{model, cells}]: a cell for each column, null or {timing (its name), step_ms (the
median), ratio, other_code, rank, of, places_gained}. A number that cannot be told is null, or not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard.records.timing import Timing, quartiles
from leaderboard.timings.tables import (
    Cell,
    DeviceColumn,
    TimingTable,
    baseline_device,
    baseline_of,
    build_tables,
    column_of,
)


def timings_json(timings: Sequence[Timing], *, baseline: str | None = None, mixed: bool = False) -> dict[str, Any]:
    """All timings, tainted ones too, and the tables of the others. Raises RecordError: no such device."""
    tables = build_tables(timings, mixed=mixed)
    device = baseline_device(timings, tables, baseline)
    return {"timings": [timing_json(timing) for timing in timings], "tables": [_table(table, device) for table in tables]}


def timing_json(timing: Timing) -> dict[str, Any]:
    """One timing, as above."""
    column, software = column_of(timing), timing.software
    return {
        "name": timing.name,
        "model": timing.model,
        "task": timing.task,
        "device": column.device,
        "kind": timing.hardware.device,
        "threads": timing.hardware.threads,
        "torch": software.torch,
        "python": software.python,
        "cuda": software.cuda,
        "precision": timing.precision,
        "batch_size": timing.batch_size,
        "measured": timing.measured.isoformat(),
        "commit": software.git_commit,
        "dirty": software.git_dirty,
        "code": timing.own_code,
        "plain_code": timing.plain_code,
        "n": len(timing.step_seconds),
        "step_ms": _milliseconds(timing.step_seconds),
        "inference_ms": _milliseconds(timing.inference_seconds),
        "latency_ms": _milliseconds(timing.latency_seconds),
        "graph_step_ms": _milliseconds(timing.graph_step_seconds),
        "compiled_step_ms": _milliseconds(timing.compiled_step_seconds),
        "compile_seconds": timing.compile_seconds,
        "peak_memory_bytes": timing.peak_memory_bytes,
        "step_operations": timing.step_operations,
        "step_bytes": timing.step_bytes,
        "matmul_fraction": timing.matmul_fraction,
        "copy_fraction": timing.copy_fraction,
        "taints": timing.taints,
        "command": timing.command,
    }


def _milliseconds(samples: list[float] | None) -> dict[str, float] | None:
    if not samples:
        return None
    found = quartiles(samples)
    return {"median": 1000 * found.median, "low": 1000 * found.low, "high": 1000 * found.high}


def _table(table: TimingTable, device: str) -> dict[str, Any]:
    base = baseline_of(table, device)
    return {
        "task": table.task,
        "baseline": base.device if base else None,
        "columns": [_column(table, column, base) for column in table.columns],
        "shared": list(table.shared),
        "rows": [
            {"model": model, "cells": [_cell(table, model, column, base) for column in table.columns]} for model in table.models
        ],
    }


def _column(table: TimingTable, column: DeviceColumn, base: DeviceColumn | None) -> dict[str, Any]:
    speed = table.speed(column, base) if base else None
    return {
        "device": column.device,
        "torch": column.torch,
        "precision": column.precision,
        "batch_size": column.batch_size,
        "mean_ratio": table.mean_ratio(column),
        "speed": speed.factor if speed else None,
        "speed_models": list(speed.models) if speed else [],
    }


def _cell(table: TimingTable, model: str, column: DeviceColumn, base: DeviceColumn | None) -> dict[str, Any] | None:
    cell: Cell | None = table.cells.get((model, column))
    if cell is None:
        return None
    gained = table.places_gained(model, column, base) if base is not None and base != column else None
    return {
        "timing": cell.timing.name,
        "step_ms": 1000 * cell.timing.step,
        "ratio": cell.ratio,
        "other_code": cell.other_code,
        "rank": cell.rank,
        "of": cell.of,
        "places_gained": gained,
    }
