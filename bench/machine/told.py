"""Asking without failing: what a system does not tell is unknown, and no reason to lose what is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def told(ask: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
    """What ``ask(*arguments)`` returns, or ``otherwise`` where it raises an exception of any kind.

    Systems, drivers and the libraries before them refuse in too many ways to name them (pynvml alone has two families).
    """
    try:
        return ask(*arguments)
    except Exception:
        return otherwise
