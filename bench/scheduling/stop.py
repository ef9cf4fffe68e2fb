"""Stopping cleanly: a time budget, Ctrl-C or SIGTERM ask the current run to save its state after the step it is in.

Before a first step there is nothing to save, and whatever is waited for is left at once.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.errors import BenchError, Stopped

MORE_TO_DO = 75  # exit code, EX_TEMPFAIL: nothing is wrong, there is more to do
AGAIN = 3.0  # seconds after which Stopped is raised once more, should it have been lost
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
TIMED = hasattr(signal, "setitimer")  # not on Windows: there the budget is heeded between steps alone
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """'90s', '9m', '1.5h' -> seconds. Raises BenchError."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])", text.strip())
    if not found or float(found[1]) == 0:
        raise BenchError(f"time budget {text!r}: give a number and a unit, such as 90s, 9m or 1.5h")
    return float(found[1]) * SECONDS[found[2]]


class StopRequest:
    """Becomes true when the time budget is spent or a signal came.

    `listen` makes it raise Stopped wherever the main thread is, in waiting, downloading or building too, until `poll_only`
    says that it is asked often enough. Then a second signal interrupts at once.
    """

    def __init__(self, budget: float | None = None) -> None:
        self.deadline = None if budget is None else time.monotonic() + budget
        self.signal_name: str | None = None
        self._raises = False

    def __call__(self) -> bool:
        return self.signal_name is not None or (self.deadline is not None and time.monotonic() >= self.deadline)

    @property
    def reason(self) -> str:
        """Why, for the last line on screen."""
        return f"{self.signal_name} received" if self.signal_name else "time budget spent"

    def listen(self) -> None:
        """Take over SIGINT, SIGTERM and the terminal's end for this process; from now on Stopped may be raised anywhere."""
        if threading.current_thread() is not threading.main_thread():
            return  # called as a library: signals are the main thread's
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._on_signal)
        self._raises = True
        if TIMED:
            signal.signal(signal.SIGALRM, self._on_alarm)
        if self.deadline is not None:
            self._set_alarm(self.deadline - time.monotonic())

    def poll_only(self) -> None:
        """From now on it is asked, between steps and the like, and raises nothing."""
        self._raises = False
        if TIMED:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.signal_name = self.signal_name is not None, signal.Signals(number).name
        if self._raises:
            self._set_alarm(AGAIN)
            raise Stopped(self.reason)
        if again:
            raise KeyboardInterrupt

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._raises and self():
            raise Stopped(self.reason)

    def _set_alarm(self, seconds: float) -> None:
        """Again and again, for what is raised in a callback is lost."""
        if TIMED:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), AGAIN)


@contextmanager
def stopped_by_signals(stop: StopRequest | None = None) -> Iterator[None]:
    """While in it, a signal raises Stopped in the main thread, wherever that is; afterwards signals do what they did before.

    `stop`: is told of the signal, and may be told itself to raise nothing any more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (*SIGNALS, *([signal.SIGALRM] if TIMED else []))
    before = {number: signal.getsignal(number) for number in numbers}
    stop = stop or StopRequest()
    stop.listen()
    try:
        yield
    finally:
        stop.poll_only()
        for number, handler in before.items():
            if handler is not None:  # one that was not set from Python
                signal.signal(number, handler)
