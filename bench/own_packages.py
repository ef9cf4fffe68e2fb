"""The packages beside this one have names that others use too (`datasets`, `models`); here the suite's own come first.

A folder `models` where the user stands, a models.py on PYTHONPATH, Hugging Face's `datasets` in the same environment: whatever
Python would find first, a process that imports `bench` imports the packages beside it. Imports next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
OF_ITS_OWN = "an environment of its own (uvx equiscale, pipx install equiscale, or `make env` in a checkout)"
PACKAGES = {"datasets": "DataError", "leaderboard": "RecordError", "models": "ModelError"}  # a name in its __init__.py


def install(what: str) -> str:
    """What to type for a package that is missing: its name, or that of the distribution with an extra."""
    return f"pip install {what}, or `make env` in a checkout"


def put_first() -> None:
    """Put the folder of the suite's packages in front of Python's path if others of their names would be found before them."""
    if any(_found(name) != _own(name) for name in PACKAGES):
        sys.path.insert(0, str(HOME))
        importlib.invalidate_caches()


def shadowed() -> str | None:
    """One line on the first package that is not the suite's own, which file it is and what to do; None: all are."""
    for name, mark in PACKAGES.items():
        found, own = _found(name), _own(name)
        if not own.is_file():
            return f"the suite's own package {name} is missing from {HOME}; install equiscale again, in {OF_ITS_OWN}"
        if mark not in own.read_text(encoding="utf-8", errors="replace"):
            return f"{own} was overwritten by another package; install equiscale again, in {OF_ITS_OWN}"
        if found != own:
            return (
                f"{found or f'something named {name}'} was imported in place of the suite's own {own}; use {OF_ITS_OWN}, "
                "take that away, or import equiscale first"
            )
    return None


def _own(name: str) -> Path:
    return HOME / name / "__init__.py"


def _found(name: str) -> Path | None:
    """The file that `import name` would run or has run; None: there is none, or Python cannot tell."""
    try:
        if name in sys.modules:
            file = getattr(sys.modules[name], "__file__", None)
        else:
            spec = find_spec(name)
            file = spec.origin if spec is not None and spec.has_location else None
        return None if file is None else Path(file).resolve()
    except Exception:  # whatever another's finder raises
        return None
