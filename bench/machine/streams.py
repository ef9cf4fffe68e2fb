"""Outputs that never fail: a sign that they cannot hold is replaced, what cannot be written is lost, and the work goes on.

A terminal or a pipe may hold ASCII only, be closed (`| head`, a connection that ended), not be there at all or lead to a full
disk. Hours of training are not to end for that.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
import unicodedata
from typing import Any, TextIO

SIGNS = str.maketrans(
    {"×": "x", "±": "+-", "−": "-", "–": "-", "—": "-", "…": "...", "’": "'", "↑": "^", "↓": "v", "†": "+", "‡": "++"}
)
GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET)  # nobody will read this output again


def never_fail() -> None:
    """Make standard output and error of this process, and the file descriptors below them, such outputs."""
    codecs.register_error("equiscale", _replaced)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed (`>&-`): the next file opened would get its number, and what is printed
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _lossy(sys.stdout, 1), _lossy(sys.stderr, 2)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """For `codecs.register_error`: the nearest signs in ASCII for those that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    text = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(SIGNS))
    return "".join(sign if sign.isascii() else "" if unicodedata.combining(sign) else "?" for sign in text), error.end


def _lossy(stream: TextIO | None, number: int) -> TextIO:
    """The stream, such that writing to it never fails. One that is not the process's own (a notebook's, a test's) stays."""
    if stream is None:
        return io.TextIOWrapper(_Lossy(number, "w", closefd=False), "utf-8", "equiscale", write_through=True)
    buffer: Any = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if isinstance(stream, io.TextIOWrapper) and type(raw) is io.FileIO and raw.fileno() == number:
        stream.flush()
        own = _Lossy(number, "w", closefd=False)
        return io.TextIOWrapper(
            own if raw is buffer else io.BufferedWriter(own),  # not buffered under python -u
            stream.encoding,
            "equiscale",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
    if isinstance(stream, io.TextIOWrapper) and type(raw) is not _Lossy:  # a console of Windows
        stream.reconfigure(errors="equiscale")
    return stream


class _Lossy(io.FileIO):
    """Takes everything. Once nobody reads it, the descriptor itself leads nowhere, for C libraries and children, too."""

    _said = False

    def write(self, content: Any, /) -> int:
        left = memoryview(content).cast("B")
        size = left.nbytes
        while left:
            try:
                count = super().write(left)
            except OSError as error:
                self._lost(error)
                break
            if count is None:  # an output that does not block, and is full
                select.select([], [self], [])
            else:
                left = left[count:]
        return size

    def _lost(self, error: OSError) -> None:
        if error.errno in GONE:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        elif self.fileno() == 1 and not self._said:  # the reader of an incomplete file is to know
            self._said = True
            print(f"bench: some of the output is lost: {error.strerror}", file=sys.stderr)
