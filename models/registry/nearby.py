"""Files of models that nobody named: who forgets `--plugin` is told which file he means. Nothing is imported."""

from __future__ import annotations

import ast
from itertools import islice
from pathlib import Path

from models.registry.unimported import registers

MOST_FILES, MOST_BYTES = 200, 1_000_000


def files_that_register(name: str, folder: Path) -> list[str]:
    """The names of the Python files in a folder that register a model of this name, as their text tells."""
    try:
        files = sorted(islice(folder.glob("*.py"), MOST_FILES))
    except OSError:
        return []
    return [file.name for file in files if _registers(file, name)]


def _registers(file: Path, name: str) -> bool:
    try:
        content = file.read_bytes() if file.stat().st_size < MOST_BYTES else b""
        tree = ast.parse(content if name.encode() in content else b"")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and registers(node))
    return any(_first(call) == name for call in calls)


def _first(call: ast.Call) -> object:
    """The name that is given to `register`, where it stands there as a text."""
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "name")]
    return given[0].value if given and isinstance(given[0], ast.Constant) else None
