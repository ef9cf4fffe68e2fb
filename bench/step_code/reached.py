"""The definitions that some code reaches by name, read from the text of modules: nothing is imported.

A definition is a top-level statement that binds a name. What it mentions is reached too: in its own module, and through imports
in every module that is looked into. Too much may be found (a local variable that is called like a function); what is only found
at work (`getattr` with a text made up there) is not. Comments, docstrings, annotations and the words of errors are left out:
they take no time.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property

Look = Callable[[str], "Module | None"]  # from a module's name to its text; None: it is not to be looked into
LEFT_OUT = {"ctx", "kind", "type_comment", "type_params", "annotation", "returns"}
Definition = tuple[str, "str | None"]  # a module's name and a name that it binds; None: all of them
ON_IMPORT = ""  # in the place of a name: what is done on import and binds nothing
REGISTER = "register"  # `@register("cnn", tasks=...)`: what makes a builder known; its options alone concern the network
OPTIONS = "options"


def canonical(node: object) -> str:
    """A syntax tree as text: its nodes and their fields, without what is left out."""
    if isinstance(node, ast.Raise):
        return "Raise"
    if isinstance(node, list):
        return f"[{','.join(map(canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in _fields(node) if value is not None and value != [])
    return f"{type(node).__name__}({','.join(f'{name}={canonical(value)}' for name, value in fields)})"


def _fields(node: ast.AST) -> Iterable[tuple[str, object]]:
    for name, value in ast.iter_fields(node):
        if name == "decorator_list":
            yield name, [_options(one) or one for one in value if not _is_register(one) or _options(one)]
        elif name == "body" and isinstance(value, list):
            yield name, [one for one in value if not _is_text(one)]
        elif name not in LEFT_OUT:
            yield name, value


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or any other text that stands alone."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_register(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == REGISTER


def _options(decorator: ast.expr) -> ast.expr | None:
    """What `@register` is given as options; None: nothing, or another decorator."""
    if not isinstance(decorator, ast.Call) or not _is_register(decorator):
        return None
    return next((keyword.value for keyword in decorator.keywords if keyword.arg == OPTIONS), None)


class Module:
    """A module's text, by the names that its top-level statements bind."""

    def __init__(self, text: str) -> None:
        """Raises SyntaxError: it is no Python."""
        self.body = ast.parse(text).body
        self.lines: dict[ast.stmt, str] = {}

    def line(self, statement: ast.stmt) -> str:
        """One of its statements as text."""
        if statement not in self.lines:
            self.lines[statement] = canonical(statement)
        return self.lines[statement]

    @cached_property
    def binding(self) -> dict[str, list[ast.stmt]]:
        """The statements behind a name: those that bind it, change it or register something with it (`@plain.register`)."""
        found: defaultdict[str, list[ast.stmt]] = defaultdict(list)
        for statement in self.body:
            for name in _bound(statement):
                found[name].append(statement)
        own = {name for name, there in found.items() if not any(isinstance(one, ast.Import | ast.ImportFrom) for one in there)}
        for statement in self.body:
            for decorator in getattr(statement, "decorator_list", []):
                if (root := _root(decorator)) in own:
                    found[root].append(statement)
        return dict(found)

    @cached_property
    def effects(self) -> list[ast.stmt]:
        """What is done on import and binds nothing."""
        return [one for one in self.body if isinstance(one, ast.Expr) and not _is_text(one)]


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return set()
    if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    within = [child for child in ast.walk(statement) if isinstance(child, ast.stmt) and child is not statement]
    return set().union(*map(_bound, within)) if within else set()


def _root(node: ast.expr) -> str:
    """`plain` of `plain.register(...)`."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _source(statement: ast.ImportFrom) -> str:
    """The module that names are imported from; a relative one is of a stranger's package, which is read as a whole."""
    return "" if statement.level else statement.module or ""


class Relations:
    """What reaches what, among the modules that are looked into; each definition is read once."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.direct: dict[Definition, tuple[set[str], set[Definition]]] = {}

    def reached(self, roots: Iterable[Definition]) -> list[str]:
        """Every definition reached from the roots, each as one line in a form of its own, sorted.

        The form is the same for all versions of Python, however the text is laid out.
        """
        found, seen, todo = set[str](), set[Definition](), list(roots)
        while todo:
            if (one := todo.pop()) not in seen:
                seen.add(one)
                lines, mentioned = self.read(one)
                found |= lines
                todo += mentioned
        return sorted(found)

    def read(self, one: Definition) -> tuple[set[str], set[Definition]]:
        """A definition's lines, and what it mentions."""
        if one not in self.direct:
            reading = _Reading(self.look)
            reading.read(*one)
            self.direct[one] = reading.lines, reading.mentioned
        return self.direct[one]


class _Reading:
    """Of one definition."""

    def __init__(self, look: Look) -> None:
        self.look, self.lines, self.mentioned = look, set[str](), set[Definition]()

    def read(self, where: str, name: str | None) -> None:
        """A name that `where` may bind: a definition, an import, or a module below it; what importing it does; all of it."""
        if (module := self.look(where)) is None:
            return
        if name is None:
            self.mentioned |= {(where, bound) for bound in module.binding}
            return
        self.mentioned.add((where, ON_IMPORT))
        for statement in module.effects if name == ON_IMPORT else module.binding.get(name, []):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.imports(statement, name)
            else:
                self.lines.add(module.line(statement))
                self.mentions(where, statement)
        if name not in module.binding and self.look(f"{where}.{name}"):
            self.mentioned.add((f"{where}.{name}", None))

    def imports(self, statement: ast.Import | ast.ImportFrom, wanted: str | None = None) -> None:
        for alias in statement.names:
            if wanted not in (None, alias.asname or alias.name.partition(".")[0]):
                continue
            source = _source(statement) if isinstance(statement, ast.ImportFrom) else ""
            full = ".".join(filter(None, [source, alias.name]))
            if source and self.look(source):
                self.mentioned.add((source, alias.name))
            elif self.look(full):
                self.mentioned.add((full, None))
            else:
                self.lines.add(f"import {full}")

    def mentions(self, where: str, node: ast.AST) -> None:
        if isinstance(node, ast.Raise):
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imports(node)
        elif isinstance(node, ast.Attribute) and (target := self.attribute(where, node)):
            self.mentioned.add(target)
        elif isinstance(node, ast.Name):
            self.mentioned.add((where, node.id))
        else:
            for _, value in _fields(node):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.mentions(where, child)

    def attribute(self, where: str, node: ast.Attribute) -> tuple[str, str] | None:
        """(module, name) of `module.name`, where a module that is looked into was imported under that name; else None."""
        above: str | None
        if isinstance(node.value, ast.Attribute):
            target = self.attribute(where, node.value)
            above = ".".join(target) if target else None
        else:
            above = self.imported_module(where, node.value.id) if isinstance(node.value, ast.Name) else None
        return (above, node.attr) if above and self.look(above) else None

    def imported_module(self, where: str, name: str) -> str | None:
        module = self.look(where)
        for statement in module.binding.get(name, []) if module else []:
            for alias in statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else []:
                if isinstance(statement, ast.ImportFrom) and (alias.asname or alias.name) == name:
                    above, full = self.look(_source(statement)), f"{_source(statement)}.{alias.name}"
                    return full if self.look(full) and not (above and alias.name in above.binding) else None
                if isinstance(statement, ast.Import) and (alias.asname or alias.name.partition(".")[0]) == name:
                    return alias.name if alias.asname else name
        return None
