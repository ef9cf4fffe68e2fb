"""Reading @register(...) lines out of the method files without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from models.errors import ModelError, said, suggestion
from models.registry.registration import FORM, Registration, checked

__all__ = ["folder_and_name", "scan_package", "suggestion"]

REGISTER = ("models.register", "models.registry.register", "models.registry.lookup.register")


def scan_package(folder: Path) -> Iterator[Registration | ModelError]:
    """Every registration in the method files `folder`/*.py, in file order; of a file that cannot be used, why not in one line.

    Hidden files (`._cnn.py` of a Mac, the lock files of editors) are none.
    """
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith(".") and not file.is_dir():
            try:
                yield from list(_scan_file(file, module=f"{folder.name}.{file.stem}"))
            except ModelError as error:
                yield error


def _scan_file(file: Path, module: str) -> Iterator[Registration]:
    where = folder_and_name(file)
    if not file.stem.isidentifier():
        raise ModelError(f"{where}: Python imports no file of this name; rename it, or move it elsewhere if it is a copy")
    try:
        tree = ast.parse(file.read_bytes())  # bytes: a file says its encoding itself
    except SyntaxError as error:
        raise ModelError(f"{where}:{error.lineno or 1}: {type(error).__name__}: {error.msg}") from None
    except Exception as error:  # not to be read, null bytes, nested too deeply
        raise ModelError(f"{where}:1: {getattr(error, 'strerror', None) or said(error)}") from None
    names, literals = _names_of_register(tree), _literals(tree)
    decorators = [node for statement in tree.body for node in getattr(statement, "decorator_list", [])]
    for node in decorators:
        if isinstance(node, ast.Call) and _dotted(node.func, names) in REGISTER:
            yield _registration(node, literals, f"{where}:{node.lineno}", module)
        elif _dotted(node, names) in REGISTER:
            raise ModelError(f"{where}:{node.lineno}: register needs a model's name; {FORM}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func, names) in REGISTER and node not in decorators:
            raise ModelError(
                f"{where}:{node.lineno}: in a method file of this package, which is read and not run, register(...) must stand "
                "as @register(...) above a function or class of the module"
            )


def _registration(call: ast.Call, literals: dict[str, Any], origin: str, module: str) -> Registration:
    given: list[Any] = []
    named: dict[str, Any] = {}
    try:
        for argument in call.args:
            given.append(_value(argument, literals))
        for keyword in call.keywords:
            named |= _value(keyword.value, literals) if keyword.arg is None else {keyword.arg: _value(keyword.value, literals)}
    except Exception:  # `literal_eval` raises many kinds
        node = call.args[len(given)] if len(call.args) > len(given) else keyword.value
        raise ModelError(
            f"{origin}: {ast.unparse(node)} is known only when it runs, but a method file of this package is read and not run; "
            "write constants, or names that the module gives constants"
        ) from None
    try:
        return checked(*given, **named, origin=origin, module=module)
    except TypeError as error:  # arguments that `register` does not take
        raise ModelError(f"{origin}: {str(error).replace('checked()', 'register()')}") from None


def _names_of_register(tree: ast.Module) -> dict[str, str]:
    """What the file's imports call this package and what is in it: {name there: dotted name}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, ["models" if node.level else "", node.module]))
            names |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`m.register` -> "models.register" after `import models as m`; what is no such thing -> ""."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def folder_and_name(file: Path) -> str:
    """`models/sesn.py` for /anywhere/models/sesn.py."""
    return f"{file.parent.name}/{file.name}"


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Module-level constants, which registrations may refer to by name."""
    found: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets: Iterable[ast.expr] = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found.pop(target.id, None)
                    try:
                        found[target.id] = ast.literal_eval(statement.value)
                    except Exception:  # not a literal; `literal_eval` raises many kinds
                        continue
    return found


def _value(node: ast.expr, literals: dict[str, Any]) -> Any:
    return literals[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)
