"""A download that resumes where it was cut, and that nothing but the file wanted can spoil.

What has come lies in a .part file. It only grows, and only by an answer that fits: a guest network's page, a range that was not
asked for or a file of another size are one line, and change nothing. A server that begins anew writes beside it, until that has
got further. Two processes that write at once, where there are no locks, write the same bytes to the same places.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from datasets import web
from datasets.errors import DataError

TIMEOUT = 30  # seconds without a sign of life of a server that can be reached
HEAD = 1 << 16  # bytes by which the file is known
OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 200, 206, 416
KEPT = "what has come is kept, the same command resumes"


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched: where it is, its size in bytes (None: not known), its MD5, whether a file begins as it does."""

    address: str
    size: int | None
    md5: str
    begins: Callable[[bytes], bool]


def md5_of(path: Path) -> str:
    """The MD5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def download(wanted: Wanted, part: Path) -> None:
    """Fetch the file into `part`, or the rest of it; its MD5 is still to be checked.

    Raises DataError: no answer, one that does not fit, a cut connection (what has come is kept); OSError: the disk is full.
    """
    has = part.stat().st_size if part.exists() else 0
    if has and has == wanted.size:
        return
    begin = 0 if wanted.size is not None and has > wanted.size else has
    try:
        with web.asked(wanted.address, {"Range": f"bytes={begin}-"} if begin else {}, TIMEOUT) as answer:
            if begin and answer.status == PARTIAL_CONTENT:
                _resume(answer, wanted, part, begin)
            else:
                _begin(answer, wanted, part, has)
    except web.Refused as refusal:
        if refusal.code != RANGE_NOT_SATISFIABLE or not begin:
            raise DataError(f"the archive's server {refusal}; {KEPT}") from refusal
        if wanted.size is not None or md5_of(part) != wanted.md5:  # else all of it is here
            raise DataError(
                f"the archive's server has nothing after {begin:,} bytes; to begin anew, remove {part}"
            ) from refusal
    except web.NoAnswer as error:
        raise DataError(f"the archive's server: {error}; {KEPT}") from error


def _resume(answer: HTTPResponse, wanted: Wanted, part: Path, begin: int) -> None:
    said = web.one_line(answer.headers.get("Content-Range", ""))
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
    first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
    total = int(found[3]) if found and found[3] != "*" else wanted.size or last + 1
    if first != begin or last >= total or total != (wanted.size or total):
        raise DataError(f"the archive's server sends another part than was asked for ({said or 'it says not which'}); {KEPT}")
    with _opened(part, begin) as file:
        come = begin
        for come in _copied(web.blocks(answer), file, begin, total):  # noqa: B007
            pass
    _check_whole(come, total)


def _begin(answer: HTTPResponse, wanted: Wanted, part: Path, has: int) -> None:
    """Fetch it from its begin on: beside what has come, until there is more of it."""
    stated = answer.headers.get("Content-Length", "")
    length = int(stated) if stated.isdecimal() else None
    total = wanted.size or length
    body = web.blocks(answer)
    head = b""
    while len(head) < HEAD and (block := next(body, b"")):
        head += block
    begins = answer.status == OK and wanted.begins(head)
    if answer.status == OK and not begins and len(head) < HEAD:
        _check_whole(len(head), length)
    if not begins or (length or total) != total:
        kind = web.one_line(answer.headers.get("Content-Type", "")) or "of no stated type"
        size = "" if length is None else f", {length:,} bytes"
        raise DataError(f"the archive's server answers with something else ({kind}{size}); this network's log-in page? {KEPT}")
    place, come = part.with_name(f"{part.stem}.{uuid.uuid4().hex}.part") if has else part, 0
    try:
        with _opened(place, 0) as file:
            for come in _copied(chain([head], body), file, 0, total):
                if place != part and (come > has or come == total):
                    place = place.replace(part)
    finally:
        if place != part:
            place.unlink(missing_ok=True)
    _check_whole(come, total if place == part else total or has)


def _opened(path: Path, begin: int) -> BinaryIO:
    """For writing from there on; what it holds is never cut off."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
    file.seek(begin)
    return file


def _copied(body: Iterable[bytes], file: BinaryIO, begin: int, total: int | None) -> Iterator[int]:
    """Write it, and say after each piece how many bytes have come. Raises DataError: there are more than the total."""
    from tqdm import tqdm

    with tqdm(total=total, initial=begin, desc="STL-10", unit="B", unit_scale=True, disable=None) as bar:
        for block in body:
            if total is not None and begin + len(block) > total:
                raise DataError(f"the archive's server sends more than the {total:,} bytes that there are; {KEPT}")
            file.write(block)
            bar.update(len(block))
            yield (begin := begin + len(block))


def _check_whole(come: int, total: int | None) -> None:
    if total is not None and come < total:
        raise DataError(f"the connection was cut after {come:,} of {total:,} bytes; {KEPT}")
