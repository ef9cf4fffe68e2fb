"""Which versions of the layers the times of a table are of, as small numbers behind the times and as words."""

from __future__ import annotations

from leaderboard.records.timing import Timing
from leaderboard.timings.tables import TimingTable

NAMED = 3  # commits; of more, how many
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def mark(table: TimingTable, timing: Timing) -> str:
    """The number of a timing's version; nothing where all times of the table are of one."""
    versions = table.versions
    return str(versions.index(timing.plain_code) + 1).translate(_SUPERSCRIPT) if len(versions) > 1 else ""


def versions_told(table: TimingTable) -> list[str]:
    """Each version's number, its commits and the day it was first timed on; none where all times of the table are of one."""
    told = []
    for version in table.versions if len(table.versions) > 1 else ():
        cells = [cell.timing for cell in table.cells.values() if cell.timing.plain_code == version]
        timings = sorted(cells, key=lambda timing: (timing.measured, timing.name))
        commits = list(dict.fromkeys(map(commit, timings)))
        more = f" and {len(commits) - NAMED} more" if len(commits) > NAMED else ""
        told.append(f"{mark(table, timings[0])} {', '.join(commits[:NAMED])}{more} ({timings[0].measured:%Y-%m-%d})")
    return told


def commit(timing: Timing) -> str:
    """A timing's commit in short, with a plus if there were changes beyond it, or if that is unknown."""
    software = timing.software
    if software.git_commit is None:
        return "no commit"
    return software.git_commit[:8] + ("" if software.git_dirty is False else "+")
