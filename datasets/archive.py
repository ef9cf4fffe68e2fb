"""Files taken out of a tar archive, compressed or not, that somebody else made."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from datasets.errors import DataError
from datasets.web import BLOCK


def copy_members(archive: Path, wanted: Mapping[str, Path], most: int) -> None:
    """Copy regular files by their exact names; the archive chooses no path on this disk. What it lacks is not copied.

    `most`: bytes of each, or up to a MB more, after which it is cut off. Raises DataError: the archive cannot be read, and
    why, in a word or two; OSError: the disk is full.
    """
    left = dict(wanted)
    try:
        file = archive.open("rb")
    except OSError as error:
        raise DataError(error.strerror) from error
    try:
        with file, tarfile.open(fileobj=file) as members:
            for member in members:
                content = members.extractfile(member) if member.name in left and member.isreg() else None
                if content is not None:
                    with left.pop(member.name).open("wb") as copy:
                        copy.writelines(islice(iter(partial(content.read, BLOCK), b""), most // BLOCK + 1))
                if not left:
                    break
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(type(error).__name__) from error


def begins_as_archive(head: bytes) -> bool:
    """Whether these bytes are the beginning of a compressed archive."""
    try:
        tarfile.TarInfo.frombuf(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, tarfile.BLOCKSIZE), "utf-8", "replace")
    except (zlib.error, tarfile.TarError):
        return False
    return True
