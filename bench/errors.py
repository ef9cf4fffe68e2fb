"""What can go wrong with what the user asked, and how a run stops early; and asking what may fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class BenchError(ValueError):
    """Something asked for cannot be done. Its message is one line: what was given, what is allowed, what to type."""


class Stopped(BaseException):
    """The time budget or a signal ended the work; everything done so far is saved. The message says which, if anything.

    No Exception, as KeyboardInterrupt is none: it may be raised at any line, and nothing that copes with failures is to take it
    for one.
    """


class Diverged(ArithmeticError):
    """The training loss, or a logit in validation or test, is no finite number."""


class NotSaved(BenchError):
    """A run's state could not be written. The run fails, the others go on; repeated, it resumes from the last state saved."""


def best_effort(ask: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
    """What ``ask(*arguments)`` returns, or ``otherwise`` where it raises an exception of any kind.

    Systems, drivers and the libraries before them refuse in too many ways to name them (pynvml alone has two families).
    """
    try:
        return ask(*arguments)
    except Exception:
        return otherwise


def debugging() -> bool:
    """Whether tracebacks are shown beside the one line on what went wrong: BENCH_DEBUG=1."""
    return os.environ.get("BENCH_DEBUG", "0") not in ("", "0")
