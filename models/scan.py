"""Reading @register(...) lines out of the method files without running them."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Registration:
    """The arguments of one @register(...) and where it stands."""

    name: str
    tasks: str | Sequence[str]
    paper: str
    options: Any
    origin: str
    module: str


def scan_package(folder: Path) -> Iterator[Registration]:
    """Every registration in the method files `folder`/*.py, in file order."""
    for file in sorted(folder.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "@register(" in text:
            yield from _scan_file(file, ast.parse(text), module=f"{folder.name}.{file.stem}")


def _scan_file(file: Path, tree: ast.Module, module: str) -> Iterator[Registration]:
    literals = _literals(tree)
    for function in tree.body:
        decorators: list[ast.expr] = getattr(function, "decorator_list", [])
        for call in decorators:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                keywords = {str(keyword.arg): _value(keyword.value, literals) for keyword in call.keywords}
                yield Registration(
                    name=_value(call.args[0], literals),
                    tasks=keywords["tasks"],
                    paper=keywords.get("paper", ""),
                    options=keywords.get("options", {}),
                    origin=f"{folder_and_name(file)}:{decorators[0].lineno}",
                    module=module,
                )


def folder_and_name(file: Path) -> str:
    """`models/sesn.py` for /anywhere/models/sesn.py."""
    return f"{file.parent.name}/{file.name}"


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Module-level constants, which registrations may refer to by name."""
    found: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue  # not a literal, so no registration needs it
    return found


def _value(node: ast.expr, literals: dict[str, Any]) -> Any:
    return literals[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)


def suggestion(given: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' when something close is known, else ''."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
