"""`bench leaderboard`: rebuild the board from records. Needs no torch and no GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    records: Annotated[Path, typer.Option(help="Folder of records; folders copied from elsewhere may lie in it.")] = Path(
        "records"
    ),
    output: Annotated[Path, typer.Option(help="The board's file.")] = Path("LEADERBOARD.md"),
    readme: Annotated[
        Path | None, typer.Option(help="Also keep the board's top rows in this file, between its markers.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the board is not what the records give.")
    ] = False,
) -> int:
    """Rebuild LEADERBOARD.md from the records, or check that it is up to date."""
    from leaderboard.errors import RecordError
    from leaderboard.files import check_board, write_board
    from leaderboard.records import set_aside
    from leaderboard.runs import collect

    collection = collect(records)
    unreadable = collection.unreadable
    if unreadable:
        # Only what should have been a record is moved out of the way, and nothing at all when only checking.
        movable = [bad.path for bad in unreadable if bad.path.is_file() and not check]
        kept = f"; set aside as {', '.join(set_aside(path).name for path in movable)}" if movable else ""
        others = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise RecordError(f"record {unreadable[0].path}{others} is unreadable ({unreadable[0].reason}){kept}; repeat its run")
    if check:
        fresh = check_board(collection, output, readme)
        print(
            f"{output} is {'up to date' if fresh else 'stale: run `bench leaderboard`'}",
            file=sys.stdout if fresh else sys.stderr,
        )
        return 0 if fresh else 1
    write_board(collection, output, readme)
    print(f"wrote {output}")
    return 0
