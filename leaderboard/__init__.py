"""Records of runs, and the board that is made from them. Imports no torch: a board builds on a laptop without it.

``leaderboard.load_records(path)`` gives a data frame with one row per run; every error is a ``leaderboard.RecordError``.
"""

from typing import TYPE_CHECKING, Any

from leaderboard.errors import RecordError

if TYPE_CHECKING:
    from leaderboard.reading.frame import load_records

__all__ = ["RecordError", "load_records"]


def __getattr__(name: str) -> Any:
    """``load_records``, once it is asked for: it imports pandas, which takes a second."""
    if name != "load_records":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leaderboard.reading.frame import load_records

    return load_records
