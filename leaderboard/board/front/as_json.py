"""The board as plain JSON: numbers to compute with, under keys that stay. No text is escaped; errors are in percent.

    {"about": about, "matrix": matrix or null, "sections": [section, ...], "left_out": left_out}

about: name, repository, latest_run (when it finished, UTC, or null), version and commit (of that run), records (how many),
smoke (whether all that is shown are smoke tests, whose errors compare with nothing).

matrix: protocol, variants, tasks, done and wanted (runs), rows [{model, cells}], a cell for each task: {table (its id, or
null), mean, std, n, expected, interval, published}. A section: protocol, smoke, variant (of the data), tables. A table: id
(which its files and anchors bear), task, digest (of the recipe), rows, comparisons, runs and failures (by their ids).

A row: model, paper (label and url, or null), mean, std, n, expected (runs that make it whole, or null), failed, interval
([low, high], 95 %, of the mean) and rank (both null where they need more realizations), parameters (a list), epoch_times
[{hardware, execution, seconds, alone}], published, reproduced_split, reproduced_pooled (each null or {mean, std, verified,
kind, source}), difference (ours minus published), repeated and disputed (runs that others repeated, and did or did not agree
on), runs [{id, realization, status, error, file, repeats}]; a repeat: by, hardware, error, agrees, verdict.

A comparison: a, b, difference (a minus b), interval, p, p_holm, n, significant.

left_out: smoke_tests (how many are not shown), altered (ids), unreadable (file names), contradictions (texts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard.board.front import about
from leaderboard.board.front.matrix import Matrix, build_matrix
from leaderboard.board.front.names import named_tables
from leaderboard.board.front.shown import records_shown, smoke_alone, smoke_left_out
from leaderboard.board.papers import paper_of
from leaderboard.board.published import PublishedResult
from leaderboard.board.tables import Row, Section, Table
from leaderboard.reading.collection import Collection
from leaderboard.records.runs import RunResult
from leaderboard.stats.comparison import Comparison
from leaderboard.stats.evidence import Interval


def board_json(collection: Collection, sections: Sequence[Section]) -> dict[str, Any]:
    """What the board of these sections, which are the collection's, shows."""
    tables = named_tables(sections)
    latest, matrix = about.latest_run(sections), build_matrix(tables)
    return {
        "about": {
            "name": about.NAME,
            "repository": about.REPOSITORY,
            "latest_run": latest and latest.finished.isoformat(),
            "version": latest and latest.version,
            "commit": latest and latest.git_commit,
            "records": records_shown(collection, sections),
            "smoke": smoke_alone(sections),
        },
        "matrix": matrix and _matrix(matrix),
        "sections": [
            {
                "protocol": section.protocol,
                "smoke": section.smoke,
                "variant": section.variant,
                "tables": [_table(name, table, collection) for name, (of, table) in tables.items() if of is section],
            }
            for section in sections
        ],
        "left_out": {
            "smoke_tests": smoke_left_out(collection, sections),
            "altered": [run.run_id for run in collection.runs if run.altered],
            "unreadable": [item.name for item in collection.unreadable],
            "contradictions": list(collection.contradictions),
        },
    }


def _matrix(matrix: Matrix) -> dict[str, Any]:
    return {
        "protocol": matrix.protocol,
        "variants": list(matrix.variants),
        "tasks": list(matrix.tasks),
        "done": matrix.done,
        "wanted": matrix.wanted,
        "rows": [
            {
                "model": model,
                "cells": [
                    {"table": cell.table or None, **_error(cell.row), "published": _published(cell.published)} for cell in cells
                ],
            }
            for model, cells in matrix.rows
        ],
    }


def _error(row: Row | None) -> dict[str, Any]:
    summary = row.summary if row else None
    return {
        "mean": summary and summary.mean,
        "std": summary and summary.std,
        "n": summary.n if summary else 0,
        "expected": row and row.expected,
        "interval": row and _interval(row.interval),
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def _table(name: str, table: Table, collection: Collection) -> dict[str, Any]:
    return {
        "id": name,
        "task": table.task,
        "digest": table.digest,
        "rows": [_row(row, table, collection) for row in table.rows],
        "comparisons": [_comparison(comparison) for comparison in table.comparisons],
        "runs": [run.run_id for run in table.runs],
        "failures": [run.run_id for run in table.failures],
    }


def _row(row: Row, table: Table, collection: Collection) -> dict[str, Any]:
    paper = paper_of(row.model, table.task)
    runs = [run for run in (*table.runs, *table.failures) if run.model == row.model]
    return {
        "model": row.model,
        "paper": paper and {"label": paper.label, "url": paper.url},
        **_error(row),
        "failed": sum(run.status != "ok" for run in runs),
        "rank": row.rank,
        "parameters": list(row.parameters),
        "epoch_times": [
            {"hardware": time.hardware, "execution": time.execution or "plain", "seconds": time.seconds, "alone": time.alone}
            for time in row.epoch_times
        ],
        "published": _published(row.published),
        "reproduced_split": _published(row.split),
        "reproduced_pooled": _published(row.pooled),
        "difference": row.difference,
        "repeated": row.repeated,
        "disputed": row.disputed,
        "runs": [_run(run, collection) for run in sorted(runs, key=lambda run: (run.realization, run.run_id))],
    }


def _published(result: PublishedResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "mean": result.error_mean,
        "std": result.error_std,
        "verified": result.verified,
        "kind": result.kind,
        "source": result.source,
    }


def _run(run: RunResult, collection: Collection) -> dict[str, Any]:
    repeats = (*collection.repeats.get(run.run_id, ()), *collection.disputes.get(run.run_id, ()))
    return {
        "id": run.run_id,
        "realization": run.realization,
        "status": run.status,
        "error": run.test_error,
        "file": run.file or None,
        "repeats": [
            {
                "by": repeat.by,
                "hardware": repeat.hardware.name,
                "error": repeat.repeat_error,
                "agrees": repeat.agrees,
                "verdict": repeat.verdict,
            }
            for repeat in repeats
        ],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "difference": comparison.difference,
        "interval": _interval(comparison.interval),
        "p": comparison.p,
        "p_holm": comparison.p_holm,
        "n": comparison.n,
        "significant": comparison.significant,
    }
