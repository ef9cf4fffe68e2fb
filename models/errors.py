"""The one error of this package, and what its messages are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(ValueError):
    """A model that cannot be had as asked. Its message is one line: what was given, what is allowed, what to type."""


def suggestion(given: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' when something close is known, whatever its capitals, else ''."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), names, n=1, cutoff=0.6)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def shown(value: object) -> str:
    """A value of any kind as a message shows it: on one line, not too long."""
    try:
        text = repr(value)
    except Exception:  # a stranger's __repr__
        text = f"an object of {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def said(error: BaseException) -> str:
    """An exception on one line: its kind, and its message if it has one."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # a stranger's __str__
        message = "(its message cannot be shown)"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
