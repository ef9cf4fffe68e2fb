"""Text, numbers and tables in Markdown that renders the same whatever the records hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaderboard.errors import one_line
from leaderboard.stats.evidence import Interval, Summary

NOTHING = "–"
HOW_TO_BEGIN = (
    "Make some with `bench run --all` (as a smoke test: `bench run --all --protocol quick`), then build the board again "
    "with `bench leaderboard`."
)
SMOKE_BANNER = "**Smoke test: it shows that the suite runs. Its errors compare with nothing.**"
# Everything that Markdown or HTML could take for its own; written as character references, which work in both.
_SPECIAL = re.compile(r"[&<>|`*_\[\]\\~$]")


def escape(text: object, limit: int = 300) -> str:
    """Any text as plain characters on one line, fit for a table cell, a heading or an HTML element."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", one_line(text, limit))


def code(text: object, limit: int = 1000) -> str:
    """Any text as code: backticks where that is safe and plain to read, else an HTML element."""
    line = one_line(text, limit)
    if line and not re.search(r"[`|\\<>&]", line):
        return f"`{line}`"
    return f"<code>{escape(line, limit)}</code>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """The lines of a table of ready-made cells; the columns named in ``right`` are aligned to the right."""
    rule = ["---:" if name in right else "---" for name in header]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Lines that a reader unfolds by a click on ``summary``."""
    return ["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>", ""]


def mean_std(mean: float, std: float | None, digits: int = 2) -> str:
    """``2.10 ± 0.09``, or the mean alone."""
    return f"{mean:.{digits}f}" if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def difference(value: float) -> str:
    """A signed number with two decimals and a true minus sign; what rounds to nothing has no sign."""
    text = f"{value:+.2f}".replace("-", "−")
    return text[1:] if float(f"{value:.2f}") == 0 else text


def interval(of: Interval) -> str:
    """``2.01 to 2.19``, two decimals."""
    return f"{of.low:.2f} to {of.high:.2f}".replace("-", "−")


def probability(p: float) -> str:
    """Three decimals, or ``< 0.001``."""
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def seconds(value: float | None) -> str:
    """Seconds to about three digits."""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def count_of(summary: Summary | None, expected: int | None) -> str:
    """How many runs a mean stands on: ``6``, or ``2 of 6`` when some of those the protocol asks for are missing."""
    n = summary.n if summary else 0
    return f"{n} of {expected}" if expected is not None and n < expected else str(n)


def plural(count: int, noun: str) -> str:
    """``1 record``, ``2 records``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
