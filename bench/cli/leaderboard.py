"""`bench leaderboard`: rebuild the board from records. Needs no torch and no GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bench.cli.json_output import Json, print_json

if TYPE_CHECKING:
    from leaderboard.reading.collection import Collection

BOARD = Path("LEADERBOARD.md")


def leaderboard(
    records: Annotated[
        list[Path] | None,
        Option(help="Folder of records; folders copied from elsewhere may lie in it. Repeatable. Default: records."),
    ] = None,
    output: Annotated[Path | None, Option(help=f"The board's file. Default: {BOARD}.")] = None,
    readme: Annotated[Path | None, Option(help="Also keep the board's top rows in this file, between its markers.")] = None,
    folder: Annotated[
        Path | None, Option(help="Also keep the page, the tables (CSV, LaTeX) and the figures in this folder.")
    ] = None,
    check: Annotated[bool, Option("--check", help="Write nothing; exit 1 if the board is not what the records give.")] = False,
    smoke: Annotated[
        bool, Option("--smoke", help="The board of smoke tests instead, on the screen if no --output is given.")
    ] = False,
    json: Json = False,
) -> int:
    """Rebuild the board from the records, or check that it is up to date.

    Smoke tests are on it only where there is nothing else; --smoke shows them. --json writes only files that are named.
    Damaged records, those of a newer equiscale, and copies of a run that differ are named, on the board too; the board is
    built from the others, and the exit code is then 1. Nothing is renamed, and JSON that is not ours is left alone.
    """
    from leaderboard.board.files import check_targets
    from leaderboard.reading.collection import collect

    output = _output(output, check=check, smoke=smoke, json=json)
    check_targets(output, readme, folder)
    collection = collect(records or [Path("records")])
    for line in collection.warnings:
        print(f"bench: {line}", file=sys.stderr)
    stale = False
    if check and output:
        stale = _stale(collection, output, readme, folder, smoke=smoke)
    else:
        _write(collection, output, readme, folder, smoke=smoke, json=json)
    return int(stale or bool(collection.unreadable or collection.contradictions))


def _output(output: Path | None, *, check: bool, smoke: bool, json: bool) -> Path | None:
    """The board's file; None: it goes to the screen. Raises BenchError: --check has nothing to compare with."""
    from bench.errors import BenchError

    if check and json:
        raise BenchError("--check compares files and --json prints; give one of them")
    if check and smoke and output is None:
        raise BenchError("--check --smoke has no file to compare with; name one with --output FILE")
    return output if output is not None or smoke or json else BOARD


def _stale(collection: Collection, output: Path, readme: Path | None, folder: Path | None, *, smoke: bool) -> bool:
    """Say whether the files are what the records give."""
    from leaderboard.board.files import stale_files

    stale = stale_files(collection, output, readme, folder, smoke=smoke)
    more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
    state = f"{stale[0]}{more}: stale; write the board again, without --check" if stale else f"{output} is up to date"
    print(state, file=sys.stderr if stale else sys.stdout)
    return bool(stale)


def _write(
    collection: Collection, output: Path | None, readme: Path | None, folder: Path | None, *, smoke: bool, json: bool
) -> None:
    """Write the files that are named, and to the screen what was asked for there."""
    from leaderboard.board import markup
    from leaderboard.board.files import write_board
    from leaderboard.board.front.as_json import board_json
    from leaderboard.board.front.shown import left_out, shown_sections
    from leaderboard.board.markdown import render
    from leaderboard.records.atomic import is_stream

    written = write_board(collection, output, readme, folder, smoke=smoke)
    sections = shown_sections(collection, smoke)
    if json:
        print_json(board_json(collection, sections))
    elif output is None:
        print(render(collection, sections=sections), end="")
    if written:
        others = f" and {markup.plural(len(written) - 1, 'more file')}" if len(written) > 1 else ""
        quiet = json or output is None or is_stream(output)
        print(f"wrote {written[0]}{others}", file=sys.stderr if quiet else sys.stdout)
        if missing := left_out(collection, sections):
            print(missing.replace("`", ""), file=sys.stderr if quiet else sys.stdout)
