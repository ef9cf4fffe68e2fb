"""Records of runs, and the board that is made from them. Imports no torch: a board builds on a laptop without it.

``leaderboard.load_records(path)`` gives a data frame with one row per run; every error is a ``leaderboard.RecordError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.errors import RecordError

if TYPE_CHECKING:
    import pandas

    from leaderboard.reading.collection import Source

__all__ = ["RecordError", "load_records"]


def load_records(path: Source) -> pandas.DataFrame:
    """One row per run found under a folder or several; see ``leaderboard.records.frame.load_records`` for the columns.

    Raises RecordError when there is no such folder or two records contradict each other.
    """
    from leaderboard.records import frame  # imports pandas, which takes a second

    return frame.load_records(path)
