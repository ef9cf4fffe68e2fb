"""What of a collection a board shows: smoke tests only where they are asked for, or where there is nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import markup
from leaderboard.board.tables import Section, build_sections
from leaderboard.reading.collection import Collection


def shown_sections(collection: Collection, smoke: bool = False) -> tuple[Section, ...]:
    """The board's sections without smoke tests, or with ``smoke`` these alone. Raises RecordError as ``build_sections``.

    Where all runs are smoke tests these are shown, as what they are: whoever tried the suite without a GPU finds his runs.
    """
    sections = build_sections(collection.runs, collection.repeats, collection.disputes)
    serious = tuple(section for section in sections if not section.smoke)
    return tuple(section for section in sections if section.smoke) if smoke or not serious else serious


def smoke_alone(sections: Sequence[Section]) -> bool:
    """Whether they are of smoke tests, and of nothing else."""
    return bool(sections) and all(section.smoke for section in sections)


def records_shown(collection: Collection, sections: Sequence[Section]) -> int:
    """How many records the board is made from: those of its kind, altered networks and images too."""
    return sum(run.smoke == smoke_alone(sections) for run in collection.runs)


def smoke_left_out(collection: Collection, sections: Sequence[Section]) -> int:
    """How many smoke tests are not shown."""
    return 0 if smoke_alone(sections) else sum(run.smoke and not run.altered for run in collection.runs)


def left_out(collection: Collection, sections: Sequence[Section]) -> str:
    """One sentence on smoke tests that are not shown; empty: there are none."""
    count = smoke_left_out(collection, sections)
    return f"{markup.plural(count, 'smoke test')} not shown: `bench leaderboard --smoke`" if count else ""
