"""Tables for other programs: CSV (numbers unrounded; one line per model, or per pair of models) and LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence

from leaderboard.board.columns import MODEL, Column, columns_of
from leaderboard.board.tables import Row, Section, Table
from leaderboard.errors import one_line

Cell = str | float | None
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "[": "{[}", "]": "{]}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "†": r"$\dagger$", "‡": r"$\ddagger$", "…": r"\dots{}",
}  # fmt: skip
_NOTES = {
    "†": "$\\dagger$ Quoted from memory, not verified in a second source.",
    "‡": "$\\ddagger$ Other processes or runs were on the device meanwhile.",
}


def models_csv(table: Table) -> str:
    """One line per model; errors in percent, ``difference`` ours minus published. Several values in a cell: ``a; b``.

    ``execution`` and ``alone`` are of the times: how they were computed, and whether on a device of the runs' own.
    """
    failed = [run.model for run in table.failures]
    return _csv([_model(row, failed.count(row.model)) for row in table.rows])


def pairs_csv(table: Table) -> str:
    """One line per pair; ``difference`` is the mean error of a minus that of b in percentage points, with 95 % interval."""
    return _csv(
        [
            {
                "a": c.a, "b": c.b, "difference": c.difference, "interval_low": c.interval.low,
                "interval_high": c.interval.high, "p": c.p, "p_holm": c.p_holm, "p_sign_flip": c.p_sign_flip, "n": c.n,
            }
            for c in table.comparisons
        ]
    )  # fmt: skip


def _model(row: Row, failed: int) -> dict[str, Cell]:
    summary, interval, published = row.summary, row.interval, row.published
    return {
        "model": row.model,
        "rank": row.rank,
        "error_mean": summary.mean if summary else None,
        "error_std": summary.std if summary else None,
        "interval_low": interval.low if interval else None,
        "interval_high": interval.high if interval else None,
        "n": summary.n if summary else 0,
        "n_expected": row.expected,
        "n_failed": failed,
        "parameters": "; ".join(map(str, row.parameters)),
        "train_seconds_per_epoch": "; ".join("" if time.seconds is None else _number(time.seconds) for time in row.epoch_times),
        "hardware": "; ".join(time.hardware for time in row.epoch_times),
        "published_mean": published.error_mean if published else None,
        "published_std": published.error_std if published else None,
        "published_verified": str(published.verified).lower() if published else None,
        "difference": row.difference,
        "reproduced_split_mean": row.split.error_mean if row.split else None,
        "reproduced_split_std": row.split.error_std if row.split else None,
        "reproduced_pooled_mean": row.pooled.error_mean if row.pooled else None,
        "reproduced_pooled_std": row.pooled.error_std if row.pooled else None,
        "execution": "; ".join(time.execution or "plain" for time in row.epoch_times),
        "alone": "; ".join("unknown" if time.alone is None else str(time.alone).lower() for time in row.epoch_times),
    }


def _csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
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


def latex_escape(text: str) -> str:
    """Any text as plain characters on one line; what pdfLaTeX's fonts lack loses its accent or becomes a question mark."""
    return "".join(map(_character, one_line(text, 1000)))


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(c, c) for c in plain) or "?"


def latex_table(section: Section, table: Table, label: str) -> str:
    """The table of one task, with caption and label; needs ``\\usepackage{booktabs,textcomp}`` (and T1 fonts for quotes)."""
    epoch_times = sorted({time.label for row in table.rows for time in row.epoch_times})
    # One hardware stands in the caption; of several, each row has to say its own.
    columns = [column for column in columns_of(table) if column.title != "Hardware" or len(epoch_times) > 1]
    rows = [" & ".join(_latex_cell(column, column.text(row)) for column in columns) + r" \\" for row in table.rows]
    body = "\n".join(rows)
    notes = [note for mark, note in _NOTES.items() if mark in "".join(c.text(row) for row in table.rows for c in columns)]
    lines = [
        "% generated by `bench leaderboard`; needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs,textcomp}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(section, table, epoch_times)}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9.+-]', '-', label)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in columns)}}}",
        r"\toprule",
        " & ".join(latex_escape(column.title) for column in columns) + r" \\",
        r"\midrule",
        body,
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {note}}}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(column: Column, text: str) -> str:
    return rf"\texttt{{{latex_escape(text)}}}" if column is MODEL else latex_escape(text)


def _caption(section: Section, table: Table, epoch_times: list[str]) -> str:
    recipe = f", recipe {table.digest}" if table.one_of_several else ""
    parts = [
        "Smoke test, its errors compare with nothing." if section.smoke else "",
        f"Test error on {table.task}, mean ± sample standard deviation over n realizations; protocol "
        f"{section.protocol}{recipe}, data {section.variant}.",
        f"Training time on {'; '.join(epoch_times)}." if epoch_times else "",
    ]
    return latex_escape(" ".join(part for part in parts if part))
