"""`bench --version`: which code, in which Python. Imports no torch, which may be missing or broken."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Annotated

from typer import Exit, Option

from bench.errors import best_effort


def version_line() -> str:
    """The suite's version and commit, and the versions of Python and torch."""
    from bench.machine.source import commit, version

    found, changed = commit()
    code = f"commit {found}{' and changes to it' if changed else ''}" if found else "commit unknown"
    torch = best_effort(importlib.metadata.version, "torch")
    return (
        f"equiscale {version()}, {code}; Python {platform.python_version()} ({sys.executable}); "
        f"{f'torch {torch}' if torch else 'no torch'}"
    )


def _print(asked: bool) -> None:
    if asked:
        print(version_line())
        raise Exit


Version = Annotated[bool, Option("--version", is_eager=True, callback=_print, help="Version, commit, Python, torch; and exit.")]


def options(version: Version = False) -> None:
    """What may stand before the verb."""
