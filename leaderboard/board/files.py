"""The board's files: writing them from the records, and telling whether they still are what the records give."""

from __future__ import annotations

from pathlib import Path

from leaderboard.board.folder import LIST, folder_files, listed_files
from leaderboard.board.front.readme import render_top
from leaderboard.board.front.shown import shown_sections
from leaderboard.board.markdown import render
from leaderboard.errors import RecordError, one_line, reason
from leaderboard.reading.collection import Collection, Source, collect
from leaderboard.records.atomic import check_target, is_stream, write_atomically

BEGIN, END = "<!-- board -->", "<!-- /board -->"


def write_board(
    source: Source | Collection,
    out: Path | None,
    readme: Path | None = None,
    folder: Path | None = None,
    *,
    smoke: bool = False,
) -> list[Path]:
    """Write the board to ``out``, unless that is None, and return every path written.

    ``source``: a folder of records, or what was collected from one; ``smoke``: the board of its smoke tests instead.
    Where a README is given, its compact table goes between the two markers there; where a folder is given, it gets the page,
    the tables and the figures (leaderboard/board/folder.py), and loses those that an earlier board left and this one has not.
    Raises RecordError, before anything is written, when the records or the markers are not in order.
    """
    check_targets(out, readme, folder)
    contents = _contents(source, out, readme, folder, draw=True, smoke=smoke)
    stale = _left_over(folder, contents)
    for path, content in contents.items():
        write_atomically(path, content)
    for path in stale:
        path.unlink(missing_ok=True)
    return list(contents)


def check_targets(out: Path | None, readme: Path | None = None, folder: Path | None = None) -> None:
    """Raises RecordError, in one line, where one of these cannot be written."""
    for path in (out, readme):
        if path is not None:
            check_target(path)
    if folder is not None:
        check_target(folder, folder=True)


def stale_files(
    source: Source | Collection,
    out: Path | None,
    readme: Path | None = None,
    folder: Path | None = None,
    *,
    smoke: bool = False,
) -> list[Path]:
    """The files that are not, byte for byte, what the records give; raises as ``write_board``.

    Of figures the digests of their charts and of their drawings are compared instead: see leaderboard/board/charts/figures.py.
    """
    contents = _contents(source, out, readme, folder, draw=False, smoke=smoke)
    return [path for path, content in contents.items() if _read(path) != content] + _left_over(folder, contents)


def check_board(source: Source | Collection, out: Path | None, readme: Path | None = None, folder: Path | None = None) -> bool:
    """Whether every file of the board is what the records give. Raises as ``write_board``."""
    return not stale_files(source, out, readme, folder)


def _contents(
    source: Source | Collection, out: Path | None, readme: Path | None, folder: Path | None, draw: bool, smoke: bool
) -> dict[Path, bytes]:
    collection = source if isinstance(source, Collection) else collect(source)
    sections = shown_sections(collection, smoke)
    contents = {} if out is None else {Path(out): render(collection, sections=sections).encode("utf-8")}
    if readme is not None:
        contents[Path(readme)] = _with_block(Path(readme), render_top(sections))
    if folder is not None:
        place = Path(folder)
        files = folder_files(collection, sections, lambda path: _read(place / path), draw)
        contents |= {place / path: content for path, content in files.items()}
    return contents


def _left_over(folder: Path | None, contents: dict[Path, bytes]) -> list[Path]:
    if folder is None:
        return []
    listed = (Path(folder) / path for path in listed_files(_read(Path(folder) / LIST)))
    return [path for path in listed if path not in contents and path.exists()]


def _with_block(readme: Path, block: str) -> bytes:
    """The README with ``block`` between its markers and every other byte as it was."""
    content = _read(readme)
    if content is None:
        raise RecordError(f"{one_line(readme)} does not exist; make it, with a line {BEGIN} and below it a line {END}")
    before, begin, rest = content.partition(BEGIN.encode())
    _, end, after = rest.partition(END.encode())
    if not end or BEGIN.encode() in rest or END.encode() in before + after:
        raise RecordError(
            f"{one_line(readme)} needs one line {BEGIN} and, below it, one line {END}; put them where the board goes"
        )
    return before + begin + b"\n" + block.rstrip("\n").encode("utf-8") + b"\n" + end + after


def _read(path: Path) -> bytes | None:
    """What stands there now; None: nothing that could be read again."""
    try:
        if is_stream(path):
            return None
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{one_line(path)} could not be read: {reason(error)}") from None
