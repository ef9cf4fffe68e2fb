"""What an examination says: a line, whether it is well, and what to do where it is not."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bench.errors import debugging
from leaderboard.errors import one_line

Level = Literal["ok", "look", "fail"]
LEVELS: tuple[Level, ...] = ("ok", "look", "fail")


@dataclass(frozen=True)
class Finding:
    """``level``: ok; look: it works, and something is missing or better otherwise; fail: runs will not work, or will be wrong.

    ``text`` and ``remedy`` (what to do, "" where nothing is to be done) are one line each.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""


def examine(subject: str, ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a question finds. One that fails itself is a finding, too: whatever is broken, the others are answered."""
    try:
        return [Finding(one.level, one.subject, one_line(one.text), one_line(one.remedy)) for one in ask()]
    except (Exception, SystemExit) as error:
        if debugging():
            traceback.print_exception(error, file=sys.stderr)
        what = one_line(f"cannot be told: {type(error).__name__}: {error}")
        return [Finding("look", subject, what, "what the other lines say may be the reason; BENCH_DEBUG=1 shows the traceback")]
