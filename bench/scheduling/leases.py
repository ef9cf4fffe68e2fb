"""Who is doing which run, said by files in the results folder, so that many workers on many machines can share it.

A lease is a file that its owner created (O_EXCL: one of several wins, also on a shared file system) and rewrites in place every
few seconds. Whoever finds it unchanged at several looks in a row takes it away. No clock is ever compared with another's, so
clocks may differ or go backwards; and a pause of whoever looks counts as one look, however long it was.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BEAT = 5.0  # seconds between two heartbeats, and between two looks at somebody else's
PATIENCE = 8  # looks at an unchanged lease before it is taken away


@dataclass
class _Seen:
    content: bytes
    looked: float  # time.monotonic of this process
    unchanged: int = 0


class Leases:
    """The leases that this process holds, kept alive by a thread, and those of others that it watches."""

    def __init__(self, folder: Path, beat: float = BEAT) -> None:
        self.folder, self.beat = folder, beat
        self.owner = f"{_machine()} {os.getpid()} {_born(str(os.getpid()))} {secrets.token_hex(8)}"
        self._held: dict[str, int] = {}  # name -> file descriptor
        self._lost: set[str] = set()
        self._seen: dict[str, _Seen] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Take the lease of this name if nobody holds it, or if its holder shows no life any more. Raises OSError."""
        if self._create(name):
            return True
        seen = self._look(name)
        if seen is None or not (seen.unchanged >= PATIENCE or _is_dead(seen.content)):
            return False
        self._take_away(name, seen.content)
        return self._create(name)

    def lost(self, name: str) -> bool:
        """Whether somebody took this process for dead and now holds its lease."""
        return name in self._lost

    def release(self, name: str) -> None:
        """Give a lease back."""
        with self._lock:
            descriptor = self._held.pop(name, None)
            lost = name in self._lost
            self._lost.discard(name)
        if descriptor is not None:
            if not lost:
                with suppress(OSError):
                    self._take_away(name, os.pread(descriptor, 1000, 0))
            os.close(descriptor)

    def close(self) -> None:
        """Give all leases back and end the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for name in list(self._held):
            self.release(name)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lease"

    def _create(self, name: str) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self._path(name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            return False
        try:
            self._write(descriptor, 0)
        except OSError:
            os.close(descriptor)
            self._path(name).unlink(missing_ok=True)
            raise
        with self._lock:
            self._held[name] = descriptor
        self._seen.pop(name, None)
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_alive, name="leases", daemon=True)
            self._thread.start()
        return True

    def _write(self, descriptor: int, count: int) -> None:
        # In place, through the descriptor: a lease that was taken away stays away, whenever its owner wakes up.
        os.pwrite(descriptor, f"{self.owner} {count:012d}\n".encode(), 0)
        os.fsync(descriptor)

    def _keep_alive(self) -> None:
        count = 0
        while not self._ended.wait(self.beat):
            count += 1
            with self._lock:
                held = list(self._held.items())
                for name, descriptor in held:
                    with suppress(OSError):  # a full disk passes; a file system that is gone shows elsewhere
                        self._write(descriptor, count)
                        if not self._path(name).read_bytes().startswith(self.owner.encode()):
                            self._lost.add(name)

    def _look(self, name: str) -> _Seen | None:
        """What is known of somebody's lease, looked at no more often than the heart beats. None: it is gone."""
        seen, now = self._seen.get(name), time.monotonic()
        if seen is not None and now - seen.looked < self.beat:
            return seen
        try:
            content = self._path(name).read_bytes()
        except OSError:
            self._seen.pop(name, None)
            return None
        same = seen is not None and seen.content == content
        self._seen[name] = _Seen(content, now, seen.unchanged + 1 if seen is not None and same else 0)
        return self._seen[name]

    def _take_away(self, name: str, content: bytes) -> None:
        """Remove the lease if it still reads so. Of several who try, one gets the file; a living one is put back."""
        path = self._path(name)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
        if aside.read_bytes() != content:
            try:
                os.link(aside, path)
            except FileExistsError:
                pass  # somebody was quicker; the owner finds out at the next beat
            except OSError:  # a file system without links
                if not path.exists():
                    aside.rename(path)
        aside.unlink(missing_ok=True)
        self._seen.pop(name, None)


def _machine() -> str:
    """This boot of this machine and the space in which its process numbers have a meaning; "?" where there is no telling."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return "?"


def _born(process: str) -> str:
    """When a process of this machine was started, in ticks since boot; '?': there is no such process, or it is a zombie."""
    if not process.isdecimal():
        return "?"
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "?"
    return "?" if fields[0] in "ZX" else fields[19]


def _is_dead(content: bytes) -> bool:
    """Whether a lease's owner was a process of this very machine that is no more: then there is nothing to wait for."""
    words = content.decode("ascii", "replace").split()
    return len(words) == 5 and words[0] == _machine() != "?" and words[2] != "?" and _born(words[1]) != words[2]
