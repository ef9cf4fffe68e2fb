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
    folder: Annotated[
        Path | None, typer.Option(help="Also keep the page, the tables (CSV, LaTeX) and the figures in this folder.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the board is not what the records give.")
    ] = False,
) -> int:
    """Rebuild the board from the records, or check that it is up to date."""
    from leaderboard import markup
    from leaderboard.errors import RecordError
    from leaderboard.files import stale_files, write_board
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
        stale = stale_files(collection, output, readme, folder)
        more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
        state = f"{stale[0]}{more}: stale; write the board again, without --check" if stale else f"{output} is up to date"
        print(state, file=sys.stderr if stale else sys.stdout)
        return 1 if stale else 0
    written = write_board(collection, output, readme, folder)
    print(f"wrote {output}" + (f" and {markup.plural(len(written) - 1, 'more file')}" if len(written) > 1 else ""))
    return 0
