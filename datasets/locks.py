"""Locks that save work and on which nothing relies: what they guard is written atomically, or the same by any two writers.

So an unavailable one is done without, with a line on screen: where the file system refuses locks, or where its holder
stands still. A lock lives in its holder alone; a file left behind locks nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

PATIENCE = 600.0  # seconds for which nothing changes in a lock's folder, after which its holder is passed by
POLL = 0.1
HELD_ELSEWHERE = (errno.EAGAIN, errno.EACCES)

Say = Callable[[str], None]


@contextmanager
def held(path: Path, work: str, doing: str, say: Say) -> Iterator[None]:
    """Hold the lock of the file `path`, or go on without. `work` and `doing` ("MNIST-scale", "building") are for the lines."""
    try:
        file = FileIO(path, "a+")
    except OSError as error:
        say(_without(path, work, error))
        yield
        return
    with file:
        try:
            locked = _wait(file, path, f"{work}: waiting for another process that is {doing} in {path.parent}", say)
        except OSError as error:
            say(_without(path, work, error))
            locked = False
        if not locked:
            yield
            return
        try:
            _tell(file, f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            _tell(file, "")
            fcntl.flock(file, fcntl.LOCK_UN)  # not left to closing: a process forked meanwhile has it open too


def _wait(file: FileIO, path: Path, line: str, say: Say) -> bool:
    """Whether the lock was had, in the end. Raises OSError: the file system has no locks."""
    began, told = time.monotonic(), False
    until, seen = began + PATIENCE, _content(path.parent)
    while not _taken(file):
        now, before, seen = time.monotonic(), seen, _content(path.parent)
        until = now + PATIENCE if seen != before else until
        if now - began > 1 and not told:
            told, holder = True, _told(file)
            say(f"{line} ({holder})" if holder else line)
        if now > until:
            say(f"{line}: nothing has come of it for {PATIENCE / 60:.0f} min; going on without it")
            return False
        time.sleep(POLL)
    return True


def _taken(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD_ELSEWHERE:
            return False
        raise
    return True


def _content(folder: Path) -> set[tuple[str, int, int]]:
    """What lies in a folder, to see whether anything changes."""
    found = set()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                status = entry.stat()
                found.add((entry.name, status.st_size, status.st_mtime_ns))
    return found


def _tell(file: FileIO, holder: str) -> None:
    """Leave word of who holds the lock; on a full disk nobody is told."""
    with suppress(OSError):
        file.truncate(0)
        file.write(holder.encode())


def _told(file: FileIO) -> str:
    with suppress(OSError):
        file.seek(0)
        return " ".join(file.read(200).decode(errors="replace").split())
    return ""


def _without(path: Path, work: str, error: OSError) -> str:
    return f"{work}: {path} cannot be locked ({error.strerror or error}); another process may be doing the same work"
