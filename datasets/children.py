"""Helper processes that never outlive the work that they were started for."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

GRACE = 2.0  # seconds to clean up, after being told to end


@contextmanager
def running(calls: Sequence[Sequence[str]], *, group: bool = False, **options: Any) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes of these commands, ended when the block is left in whatever way, an exception of a signal handler too.

    `group`: those that they start end with them. `options`: as of subprocess.Popen. Raises OSError: one cannot be started.
    """
    processes: list[subprocess.Popen[str]] = []
    try:
        for call in calls:
            processes.append(subprocess.Popen(call, start_new_session=group, **options))
        yield processes
    finally:
        _end([process for process in processes if process.poll() is None], group)
        for process in processes:
            for stream in filter(None, (process.stdin, process.stdout)):
                with suppress(OSError):
                    stream.close()


def _end(processes: Sequence[subprocess.Popen[str]], group: bool) -> None:
    """Those that still run: told to, and killed when they do not or when a second signal comes."""

    def send(process: subprocess.Popen[str], number: int) -> None:
        with suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    for process in processes:
        send(process, signal.SIGTERM)
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
    finally:
        for process in processes:
            if process.poll() is None:
                send(process, signal.SIGKILL)
                process.wait()


def end_with_parent() -> None:
    """In a helper process: exit, cleaning up, on SIGTERM or when the parent, which holds the other end of stdin, is no more."""

    def watch() -> None:
        os.read(0, 1)  # not sys.stdin, which Python would wait for in the end
        os.kill(os.getpid(), signal.SIGTERM)

    def leave(*_: object) -> None:
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, leave)
    Thread(target=watch, daemon=True).start()
