"""What is kept of an exception that ended a run: its kind, its message, and where it arose, the model's own lines first."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from bench.errors import best_effort
from leaderboard.records.schema import Failure

LINES = 12  # of the traceback's end
OWN = 2  # calls in the model's own files that are kept, the last ones


def describe_failure(error: BaseException, model_file: str | None) -> Failure:
    """The exception as a record holds it. `model_file`: where the model is written, if that is known."""
    folder = Path(model_file).parent if model_file else None
    return Failure(
        kind=type(error).__name__,
        message=best_effort(str, error, otherwise=""),
        traceback_tail=_tail(error, folder),
    )


def _tail(error: BaseException, folder: Path | None) -> list[str]:
    """The end of the traceback; before it the last calls in the model's folder, where the end does not hold them.

    The end alone may lie in torch altogether: what went wrong there is of no use to whom does not see which line called it.
    """
    last = "".join(best_effort(traceback.format_exception, error, otherwise=[])).splitlines()[-LINES:]
    frames = [frame for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    own = [frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder)]
    if not own or any(f'File "{own[-1].filename}", line {own[-1].lineno},' in line for line in last):
        return last
    lines = "".join(traceback.StackSummary.from_list(own[-OWN:]).format()).splitlines()
    return [*lines, "  ...", *last[len(lines) + 1 - LINES :]]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, the first one first."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and not any(one is known for known in found):
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return reversed(found)
