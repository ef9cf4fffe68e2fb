"""Tables as CSV: one line per model (numbers unrounded), and one per pair of models that were compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from leaderboard.board.published import PublishedResult
from leaderboard.board.tables import Row, Table
from leaderboard.errors import one_line

Cell = str | float | None
MODEL_COLUMNS = (
    "model", "rank", "error_mean", "error_std", "interval_low", "interval_high", "n", "n_expected", "n_failed", "parameters",
    "train_seconds_per_epoch", "hardware", "published_mean", "published_std", "published_verified", "difference",
    "reproduced_split_mean", "reproduced_split_std", "reproduced_pooled_mean", "reproduced_pooled_std",
    "execution", "alone",
)  # fmt: skip
PAIR_COLUMNS = ("a", "b", "difference", "interval_low", "interval_high", "p", "p_holm", "p_sign_flip", "n")


def models_csv(table: Table) -> str:
    """One line per model; errors in percent, ``difference`` ours minus published. Several values in a cell: ``a; b``.

    ``execution`` and ``alone`` are of the times: how they were computed, and whether on a device of the runs' own.
    """
    failed = [run.model for run in table.failures]
    return _csv(MODEL_COLUMNS, (_model(row, failed.count(row.model)) for row in table.rows))


def pairs_csv(table: Table) -> str:
    """One line per pair; ``difference`` is the mean error of a minus that of b in percentage points, with 95 % interval."""
    return _csv(
        PAIR_COLUMNS,
        (
            (c.a, c.b, c.difference, c.interval.low, c.interval.high, c.p, c.p_holm, c.p_sign_flip, c.n)
            for c in table.comparisons
        ),
    )


def _model(row: Row, failed: int) -> tuple[Cell, ...]:
    summary, interval, published = row.summary, row.interval, row.published
    return (
        row.model,
        row.rank,
        *((summary.mean, summary.std) if summary else (None, None)),
        *((interval.low, interval.high) if interval else (None, None)),
        summary.n if summary else 0,
        row.expected,
        failed,
        "; ".join(map(str, row.parameters)),
        "; ".join("" if pace.seconds is None else _number(pace.seconds) for pace in row.paces),
        "; ".join(pace.hardware for pace in row.paces),
        *_result(published),
        None if published is None else str(published.verified).lower(),
        row.difference,
        *_result(row.split),
        *_result(row.pooled),
        "; ".join(pace.execution or "plain" for pace in row.paces),
        "; ".join("unknown" if pace.alone is None else str(pace.alone).lower() for pace in row.paces),
    )


def _result(result: PublishedResult | None) -> tuple[Cell, Cell]:
    return (result.error_mean, result.error_std) if result else (None, None)


def _csv(header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return _number(value)
    line = one_line(value, 1000)
    # A spreadsheet would run a text that begins like a formula.
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _number(value: float) -> str:
    """Ten digits: more than was measured, and fewer than the last bits in which machines differ."""
    return f"{value:.10g}"
