"""Asking a web server for a file: whatever goes wrong is one line, and a redirection leads to http or https or nowhere."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from typing import IO

from datasets.errors import DataError

BLOCK = 1 << 20
LONGEST_REASON = 200
# A damaged Location raises a ValueError, or an OverflowError by its port; URLError and timeouts are kinds of OSError.
PROBLEMS = (OSError, http.client.HTTPException, ValueError, OverflowError)


class NoAnswer(DataError):
    """No connection, none that lasted, or no answer that can be understood."""


class Refused(DataError):
    """The server answered with an error. `code`: of HTTP; `headers`: what came with it."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        super().__init__(one_line(f"answers {error.code} {error.reason}"))
        self.code, self.headers = error.code, error.headers


@contextmanager
def asked(address: str, headers: Mapping[str, str], timeout: float) -> Iterator[HTTPResponse]:
    """The answer, its body still to be read. `timeout`: seconds without a sign of life. Raises NoAnswer, Refused."""
    try:
        request = urllib.request.Request(address, headers=dict(headers))
        answer = urllib.request.build_opener(_OverTheWeb).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error) from error
    except PROBLEMS as error:
        raise NoAnswer(reason_of(error)) from error
    with answer:
        yield answer


def blocks(answer: HTTPResponse) -> Iterator[bytes]:
    """The answer's body in pieces of up to a MB. Raises NoAnswer: the connection was cut, or nothing comes any more."""
    while True:
        try:
            # read1: what has come is passed on, and does not wait in a buffer for the rest of a block.
            block = answer.read1(BLOCK)
        except PROBLEMS as error:
            raise NoAnswer(reason_of(error)) from error
        if not block:
            return
        yield block


def reason_of(error: BaseException) -> str:
    """An error's reason in one line."""
    return one_line(str(getattr(error, "reason", error))) or type(error).__name__


def one_line(text: str) -> str:
    """The text without line breaks, cut off where it gets long."""
    return " ".join(text.split())[:LONGEST_REASON]


class _OverTheWeb(urllib.request.HTTPRedirectHandler):
    """urllib would follow a redirection to ftp as well."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """As the base class, for http and https alone. Raises URLError."""
        if not newurl.startswith(("http://", "https://")):
            raise urllib.error.URLError(f"redirected to {newurl!r}, which is not on the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
