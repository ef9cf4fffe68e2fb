"""The board's files: writing them from the records, and telling whether they still are what the records give."""

from __future__ import annotations

from pathlib import Path

from leaderboard.atomic import write_atomically
from leaderboard.errors import RecordError, one_line
from leaderboard.markdown import render
from leaderboard.runs import Collection, collect
from leaderboard.top import render_top

BEGIN, END = "<!-- board -->", "<!-- /board -->"


def write_board(source: Path | Collection, out: Path, readme: Path | None = None) -> None:
    """Write the board to ``out`` and, where a README is given, its compact table between the two markers there.

    ``source``: a folder of records, or what was collected from one. Raises RecordError, before anything is written, when the
    records or the markers are not in order.
    """
    for path, content in _contents(source, out, readme).items():
        write_atomically(path, content)


def check_board(source: Path | Collection, out: Path, readme: Path | None = None) -> bool:
    """Whether ``out`` (and the README's block) is, byte for byte, what the records give. Raises as ``write_board``."""
    return all(_read(path) == content for path, content in _contents(source, out, readme).items())


def _contents(source: Path | Collection, out: Path, readme: Path | None) -> dict[Path, bytes]:
    collection = source if isinstance(source, Collection) else collect(Path(source))
    contents = {Path(out): render(collection).encode("utf-8")}
    if readme is not None:
        contents[Path(readme)] = _with_block(Path(readme), render_top(collection.runs))
    return contents


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
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{one_line(path)} could not be read: {one_line(error.strerror or type(error).__name__)}") from None
