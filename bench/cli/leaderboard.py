"""`bench leaderboard`: rebuild the board from records. Needs no torch and no GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Option


def leaderboard(
    records: Annotated[
        list[Path] | None,
        Option(help="Folder of records; folders copied from elsewhere may lie in it. Repeatable. Default: records."),
    ] = None,
    output: Annotated[Path, Option(help="The board's file.")] = Path("LEADERBOARD.md"),
    readme: Annotated[Path | None, Option(help="Also keep the board's top rows in this file, between its markers.")] = None,
    folder: Annotated[
        Path | None, Option(help="Also keep the page, the tables (CSV, LaTeX) and the figures in this folder.")
    ] = None,
    check: Annotated[bool, Option("--check", help="Write nothing; exit 1 if the board is not what the records give.")] = False,
) -> int:
    """Rebuild the board from the records, or check that it is up to date.

    Damaged records, those of a newer equiscale, and copies of a run that differ are named, on the board too; the board is
    built from the others, and the exit code is then 1. Nothing is renamed, and JSON that is not ours is left alone.
    """
    from leaderboard.board import markup
    from leaderboard.board.files import check_targets, stale_files, write_board
    from leaderboard.reading.collection import collect
    from leaderboard.records.atomic import is_stream

    check_targets(output, readme, folder)
    collection = collect(records or [Path("records")])
    for line in collection.warnings:
        print(f"bench: {line}", file=sys.stderr)
    doubtful = bool(collection.unreadable or collection.contradictions)
    if check:
        stale = stale_files(collection, output, readme, folder)
        more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
        state = f"{stale[0]}{more}: stale; write the board again, without --check" if stale else f"{output} is up to date"
        print(state, file=sys.stderr if stale else sys.stdout)
        return int(bool(stale) or doubtful)
    written = write_board(collection, output, readme, folder)
    others = f" and {markup.plural(len(written) - 1, 'more file')}" if len(written) > 1 else ""
    print(f"wrote {output}{others}", file=sys.stderr if is_stream(output) else sys.stdout)
    return int(doubtful)
