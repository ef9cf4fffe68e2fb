"""The near end of a process of the trial of `--jobs auto` (trial_process.py): a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import queue
import subprocess
import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

from bench.errors import BenchError
from bench.machine.processes import start
from leaderboard.errors import one_line


class Tryer:
    """One process. `call`: its command line; `stop`: whether the command is to end."""

    def __init__(self, call: Sequence[str], stop: Callable[[], bool]) -> None:
        self.stop = stop
        self.process = start(call, stderr=subprocess.DEVNULL)
        self.answers: queue.Queue[bytes] = queue.Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.answers.put(line)
        self.answers.put(b"")

    def send(self, what: dict[str, Any]) -> None:
        """Raises BenchError: it died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise BenchError("a process of the trial died") from error

    def answer(self, seconds: float) -> dict[str, Any]:
        """Raises BenchError: it died, says that it cannot, or says nothing in so many seconds; or the command is to stop."""
        deadline = time.monotonic() + seconds
        while self.answers.empty():
            if self.stop():
                raise BenchError("stopped")
            if time.monotonic() > deadline:
                raise BenchError(f"a process of the trial said nothing in {seconds:.0f} s")
            time.sleep(0.02)
        line = self.answers.get().decode("utf-8", "replace")
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            raise BenchError(f"a process of the trial {f'said {one_line(line, 100)}' if line else 'died'}") from None
        if "problem" in said:
            raise BenchError(said["problem"])
        return said

    def ask(self, what: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Both."""
        self.send(what)
        return self.answer(seconds)

    def end(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.wait()
