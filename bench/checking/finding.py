"""What a check says: pass, look or fail, the reason, and what to do about it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from leaderboard.errors import one_line
from models.errors import said

Verdict = Literal["pass", "look", "fail"]
LINES = 3  # of the model's own that are shown


@dataclass(frozen=True)
class Finding:
    """Of one check of one network. `todo`: what to do where it did not pass. `more`: further lines, such as a table.

    `look`: nothing is wrong for sure, but a reader of the board would ask. `numbers`: what was measured, by name.
    """

    verdict: Verdict
    text: str
    todo: str = ""
    more: list[str] = field(default_factory=list)
    numbers: dict[str, object] = field(default_factory=dict)


def raised(error: BaseException, folder: Path | None, todo: str = "", verdict: Verdict = "fail") -> Finding:
    """The finding that a check, or the network in it, raised; with the model's own lines of the traceback, the last ones."""
    return Finding(verdict, one_line(said(error)), todo, own_lines(error, folder))


def own_lines(error: BaseException, folder: Path | None) -> list[str]:
    """Where in the model's folder an exception arose, the call nearest to it last: `my_net.py:31, in forward: x = y`."""
    frames = [frame for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    own = [frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder)]
    return [one_line(f"{Path(f.filename).name}:{f.lineno}, in {f.name}: {f.line}") for f in own[-LINES:]]


def _chain(error: BaseException) -> Sequence[BaseException]:
    """The exception and what it was raised from, the first one first."""
    return [*([error.__cause__] if error.__cause__ is not None else []), error]


def listed(names: Sequence[str], most: int = 3) -> str:
    """Some names, the first few of many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
