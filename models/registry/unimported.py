"""Names and options of models as they are written in files, without importing these: for whom an answer must come at once.

What is not written out (a name that is put together, values that are computed) is not found; the catalogue knows it all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1]  # of the method files
REGISTERED = re.compile(rb"""^@(?:\w+\.)*register\(\s*(?:name\s*=\s*)?["']([\w.-]+)["']""", re.MULTILINE)
UNKNOWN = object()


def method_files() -> list[Path]:
    """The files of the suite's own models."""
    return sorted(file for file in FOLDER.glob("*.py") if not file.name.startswith((".", "_")))


def names_in(files: Iterable[Path]) -> list[str]:
    """The names in `@register("name", ...)`, sorted; a file that cannot be read has none."""
    return sorted({found.decode("ascii", "replace") for file in files for found in REGISTERED.findall(_content(file))})


def options_of(name: str, files: Iterable[Path]) -> dict[str, list[str]]:
    """The options of this model, {option: its values, of whatever task}; a file that cannot be parsed has none."""
    found: dict[str, list[str]] = {}
    for file in (file for file in files if name in names_in([file])):
        tree = _parsed(file)
        scope = _Scope(tree)
        for call in (call for node in tree.body for call in getattr(node, "decorator_list", []) if registers(call)):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            options = scope.value(given.get("options"))
            if scope.value(call.args[0] if call.args else given.get("name")) == name and isinstance(options, Mapping):
                for option, by_task in options.items():
                    found[option] = list(dict.fromkeys([*found.get(option, ()), *_texts(by_task)]))
    return found


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


@cache
def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(_content(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def registers(node: ast.AST) -> bool:
    """Whether it is a call of `register`, however that was imported."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "id", getattr(function, "attr", None)) == "register"


def _texts(by_task: Any) -> list[str]:
    """The values of an option as they stand in names: of each task glob, or of all tasks."""
    lists = by_task.values() if isinstance(by_task, Mapping) else [by_task]
    return [str(value) for values in lists if isinstance(values, list) for value in values if value is not UNKNOWN]


class _Scope:
    """What the names at the top of a file stand for, as far as that is written out there or in another method file."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: dict[str, ast.expr] = {}
        self.elsewhere: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.nodes[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                self.nodes[node.target.id] = node.value
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{FOLDER.name}."):
                names = {alias.asname or alias.name: alias.name for alias in node.names}
                self.elsewhere |= {here: (str(node.module), name) for here, name in names.items()}

    def value(self, node: ast.expr | None, depth: int = 20) -> Any:
        """Of an expression: constants, lists (tuples too), dictionaries, names, subscripts, tuple(...); else UNKNOWN."""
        found: Any = UNKNOWN
        if node is None or depth == 0:
            return found
        match node:
            case ast.Constant(value):
                found = value
            case ast.Tuple() | ast.List():
                found = [self.value(part, depth - 1) for part in node.elts]
            case ast.Dict():
                found = self._dictionary(node, depth)
            case ast.Name():
                found = self._named(node.id, depth)
            case ast.Subscript():
                whole, key = self.value(node.value, depth - 1), self.value(node.slice, depth - 1)
                found = whole.get(key, UNKNOWN) if isinstance(whole, dict) and isinstance(key, str) else UNKNOWN
            case ast.Call(func=ast.Name(id="tuple" | "list"), args=[one], keywords=[]):
                whole = self.value(one, depth - 1)
                found = list(whole) if isinstance(whole, list | dict) else UNKNOWN
        return found

    def _dictionary(self, node: ast.Dict, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            part = self.value(value, depth - 1)
            if key is None:
                found |= part if isinstance(part, dict) else {}
            elif isinstance(name := self.value(key, depth - 1), str):
                found[name] = part
        return found

    def _named(self, name: str, depth: int) -> Any:
        if name in self.nodes:
            return self.value(self.nodes[name], depth - 1)
        module, there = self.elsewhere.get(name, ("", ""))
        if not module:
            return UNKNOWN
        return _Scope(_parsed(FOLDER / f"{module.rpartition('.')[2]}.py")).value(ast.Name(there), depth - 1)
