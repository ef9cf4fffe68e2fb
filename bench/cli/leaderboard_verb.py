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
    from leaderboard.files import check_board, write_board
    from leaderboard.records import RecordError, read_all, set_aside

    unreadable = read_all(records)[1]
    if unreadable:
        places = [str(bad.path if check else set_aside(bad.path)) for bad in unreadable]
        done = "is unreadable" if check else "was unreadable and is set aside"
        raise RecordError(f"record {'; '.join(places)} {done} ({unreadable[0].reason}); repeat the run, or delete the file")
    if check:
        fresh = check_board(records, output, readme)
        print(
            f"{output} is {'up to date' if fresh else 'stale: run `bench leaderboard`'}",
            file=sys.stdout if fresh else sys.stderr,
        )
        return 0 if fresh else 1
    write_board(records, output, readme)
    print(f"wrote {output}")
    return 0
