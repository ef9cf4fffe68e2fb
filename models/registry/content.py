"""What code a stranger's model is made of: one hash of the files, so that a result can be told from that of other code."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

OURS = ("bench", "datasets", "leaderboard", "models", "torch")  # these names mean what is installed, whatever lies beside


def content_hash(files: Mapping[str, Path]) -> str:
    """SHA-256, in hex, of names and contents; of a file that cannot be read, of its name alone."""
    listed = [(name, _digest(file)) for name, file in sorted(files.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _digest(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def files_of(plugin: Path) -> dict[str, Path]:
    """A plugin's file and the files in its folder that it imports, also by way of each other: {name in the folder: file}.

    Read from the import statements wherever they stand, and not by importing. The standard library's modulefinder would do, but
    gives up on a folder without __init__.py and on a file that cannot be read; here such a file just imports nothing.
    """
    plugin = plugin.resolve()
    folder, found, unread = plugin.parent, {plugin}, [plugin]
    while unread:
        file = unread.pop()
        fresh = {path for name in _imported(file, folder) for path in _paths(folder, name)} - found
        found |= fresh
        unread += fresh
    return {file.relative_to(folder).as_posix(): file for file in found}


def _imported(file: Path, folder: Path) -> Iterator[str]:
    """Full names of the modules that a file may import, and more: `from a import b` gives a and a.b."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    package = file.relative_to(folder).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = [*above, *(node.module or "").split(".")] if node.module else [*above]
            yield from (".".join([*base, *rest]) for rest in ([], *([alias.name] for alias in node.names)))
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func) and node.args:
            name = node.args[0]  # importlib.import_module("helper"), __import__("helper")
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def _paths(folder: Path, name: str) -> Iterator[Path]:
    """The files that importing a module runs: its own, and the __init__.py of each package above it."""
    parts = name.split(".")
    if parts[0] in OURS or not all(part.isidentifier() for part in parts):
        return
    for length in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:length])
        yield from (file for file in (path / "__init__.py", path.with_name(path.name + ".py")) if file.is_file())


def package_files(module: str) -> dict[str, Path]:
    """The .py files of the installed package that a module belongs to, or of the one module: {name in it: file}.

    Of a namespace that several distributions share, only the package of this one.
    """
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        spec = importlib.util.find_spec(".".join(parts[:length]))
        if spec is None:
            break
        if spec.origin is None or not spec.has_location:
            continue
        file = Path(spec.origin)
        if not spec.submodule_search_locations:
            return {file.name: file}
        return {path.relative_to(file.parent).as_posix(): path for path in sorted(file.parent.rglob("*.py"))}
    return {}
