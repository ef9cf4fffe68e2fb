"""`--json`: what a verb says as one JSON document on standard output, for programs; warnings stay on standard error.

The document is an object, so that it may grow: keys are added, never renamed, and stand in the order in which a verb gives
them. Numbers are not rounded; one that is not finite, and whatever is not known, is null. All is ASCII (`\\u00e9`), so that no
terminal or pipe changes it and no sign in it moves a cursor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from dataclasses import asdict, is_dataclass
from os import PathLike, fspath
from typing import Annotated, Any

from typer import Option

from leaderboard.errors import clean

Json = Annotated[bool, Option("--json", help="Print one JSON document instead, for programs.")]


def print_json(document: Mapping[str, Any]) -> None:
    """Print it. Raises TypeError: there is something in it that `plain` cannot make JSON of."""
    print(json.dumps(plain(document), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """As JSON has it: mappings, sequences, sets (sorted), dataclasses, pydantic's models, paths, numpy's numbers, plain values.

    Raises TypeError: anything else.
    """
    if value is None or isinstance(value, bool | int | float):
        return None if isinstance(value, float) and not math.isfinite(value) else value
    if isinstance(value, str | PathLike):
        return clean(fspath(value))
    if isinstance(value, Mapping):
        return {str(clean(str(key))): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(part) for part in (sorted(value) if isinstance(value, Set) else value)]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    for own_form in ("model_dump", "item"):  # of pydantic, of numpy
        if hasattr(value, own_form):
            return plain(getattr(value, own_form)())
    raise TypeError(f"{type(value).__name__} has no form in JSON")
