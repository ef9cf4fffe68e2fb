"""Whether a server can be reached at all, answered within two seconds: offline, nobody wants to wait for a download's patience.

Looking up a name has no time limit of its own, and a connection that is dropped on its way answers nothing; so both are tried
beforehand in threads. The download that follows keeps its own, longer limit.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
import urllib.parse
import urllib.request
from typing import Any

from datasets.errors import DataError

SECONDS = 1.9  # for looking up a name and connecting, together


class Probe:
    """From its making on, an attempt to connect to an address's server, or to the proxy through which it is asked."""

    def __init__(self, address: str, seconds: float | None = None) -> None:
        """Begin. `seconds`: how long it may take (None: SECONDS)."""
        self.host, self.seconds = address, SECONDS if seconds is None else seconds
        self.until = time.monotonic() + self.seconds
        self.said: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        try:
            self.host, port = _place(address)
        except ValueError as error:
            self.said.put(error)
            return
        # Not an executor: those are waited for when Python ends, however long a name server keeps its silence.
        threading.Thread(target=self._connect, args=(port,), daemon=True).start()

    def check(self) -> None:
        """Wait until there is a connection. Raises DataError: refused, no such name, or no answer in time."""
        try:
            problem = self.said.get(timeout=max(0, self.until - time.monotonic()))
        except queue.Empty:
            raise DataError(f"no connection to {self.host} within {self.seconds:.1f} s; is this machine offline?") from None
        if problem is not None:
            raise DataError(f"no connection to {self.host}: {getattr(problem, 'strerror', None) or problem}")

    def _connect(self, port: int) -> None:
        """To all of the name's addresses at once: the first may be of a kind that does not work here."""
        try:
            places = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self.said.put(error)
            return
        problems: list[Exception] = []
        knocks = [threading.Thread(target=self._knock, args=(place, problems), daemon=True) for place in places]
        for knock in knocks:
            knock.start()
        for knock in knocks:
            knock.join()
        self.said.put(problems[0] if problems else None)  # read only where none of them got through

    def _knock(self, place: Any, problems: list[Exception]) -> None:
        family, kind, protocol, _, where = place
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(self.seconds)
                connection.connect(where)
        except OSError as error:
            problems.append(error)
        else:
            self.said.put(None)


def _place(address: str) -> tuple[str, int]:
    """Host and port of an address's server, or of the proxy that urllib would ask instead. Raises ValueError: no port."""
    parts = urllib.parse.urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
