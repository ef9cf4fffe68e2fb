"""Stopping cleanly: a time budget, Ctrl-C or SIGTERM ask the current run to save its state after the step it is in."""

from __future__ import annotations

import re
import signal
import time
from types import FrameType

from bench.errors import BenchError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """'90s', '9m', '1.5h' -> seconds. Raises BenchError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text.strip())
    if not found or float(found[1]) == 0:
        raise BenchError(f"time budget {text!r}: give a number and a unit, such as 90s, 9m or 1.5h")
    return float(found[1]) * SECONDS[found[2]]


class StopRequest:
    """Becomes true when the time budget is spent or a signal came; a second signal interrupts at once."""

    def __init__(self, budget: float | None = None) -> None:
        self.deadline = None if budget is None else time.monotonic() + budget
        self.signal_name: str | None = None

    def __call__(self) -> bool:
        """Whether to stop now."""
        return self.signal_name is not None or (self.deadline is not None and time.monotonic() >= self.deadline)

    @property
    def reason(self) -> str:
        """Why, for the last line on screen."""
        return f"{self.signal_name} received" if self.signal_name else "time budget spent"

    def listen(self) -> None:
        """Take over SIGINT and SIGTERM for this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.signal_name is not None:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name
