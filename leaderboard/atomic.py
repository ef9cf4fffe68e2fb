"""Writing a file so that a reader sees either the whole of it or what was there before."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaderboard.errors import RecordError, one_line


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` by way of a temporary file beside it, making the folder when it is missing.

    Raises RecordError, and leaves ``path`` as it was, when the disk is full, read-only or the like.
    """
    with _beside(path, content) as temporary:
        os.replace(temporary, path)  # noqa: PTH105 (the one rename that is atomic on every platform)


def create_atomically(path: Path, content: bytes) -> bool:
    """As ``write_atomically``, but only where nothing is: of several processes one gets True, the others False."""
    with _beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if os.path.lexists(path):
                return False
            os.replace(temporary, path)  # noqa: PTH105
    return True


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside ``path`` with the content, safe on disk; gone afterwards."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecordError(
            f"{one_line(path)} could not be written: {one_line(reason)}; free the place or give another"
        ) from error
