"""Which code a training step ran, as a hash: of all that a step of a model on a task reaches, and of nothing else.

A change elsewhere, in another model, in a comment, in the words of an error, leaves it as it was. What libraries do is not in
it: their versions stand beside it in a record. Needs no torch.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

import models
from bench.errors import best_effort
from bench.machine.source import ROOT
from bench.step_code.reached import REGISTER, Definition, Module, Relations
from leaderboard.records.timing import CodeTimed
from models.registry.content import files_of, package_files

PLAIN = "cnn"  # the network whose step others are set against
PROTOCOL = "bench/protocols/paper.yaml"  # the step is that of its recipes
STEP = (  # what is timed, and how
    ("bench.measure.timed_step", "TimedStep"),
    ("bench.measure.timer", "samples"),
    *(("bench.machine.device", name) for name in ("on", "reuse_memory", "set_numerics")),
)
LOOKED_INTO = {"bench.training.step", "bench.training.evaluate", "bench.training.data", *(module for module, _ in STEP)}
NOT_LOOKED_INTO = ("models.registry", "models.errors", "models.reference")  # nothing of theirs is done in a step


class SourceTree:
    """The suite's source as it was at some time: `texts` from a path, with "/", to what stood there.

    `strangers`: modules of others beside it, by names that no module of the suite has.
    """

    def __init__(self, texts: Mapping[str, str], strangers: Mapping[str, str] | None = None) -> None:
        self.texts, self.strangers = texts, strangers or {}
        self.modules: dict[str, Module | None] = {}
        self.relations = Relations(self.look)

    def code_of(self, model: str, task: str) -> str | None:
        """The identity of a step of a model of the suite, its name with or without options. None: it has no such model, or a
        file is no Python.
        """
        try:
            name = model.partition("@")[0]
            roots = [
                builder for builder, tasks in self.builders.get(name, []) if any(fnmatchcase(task, glob) for glob in tasks)
            ]
            return self.hash([*STEP, *roots], task) if roots else None
        except SyntaxError:
            return None

    def hash(self, roots: Iterable[Definition], task: str) -> str:
        """SHA-256, in hex, of what is reached and of the recipe's optimizer. Raises SyntaxError."""
        return hashlib.sha256(json.dumps([self.recipe(task), self.relations.reached(roots)]).encode()).hexdigest()

    def look(self, name: str) -> Module | None:
        """The module of that name, if a step may depend on it. Raises SyntaxError."""
        if name not in self.modules:
            path = name.replace(".", "/")
            own = self.texts.get(f"{path}.py", self.texts.get(f"{path}/__init__.py")) if is_looked_into(name) else None
            text = self.strangers.get(name, own)
            self.modules[name] = None if text is None else _module(text)
        return self.modules[name]

    @cached_property
    def builders(self) -> dict[str, list[tuple[tuple[str, str], tuple[str, ...]]]]:
        """By a model's name: where its builders stand (module, function), and their globs of tasks. Raises SyntaxError."""
        found: dict[str, list[tuple[tuple[str, str], tuple[str, ...]]]] = {}
        for path in self.texts:
            parts = path.removesuffix(".py").split("/")
            module = self.look(".".join(parts)) if parts[0] == "models" and len(parts) == 2 else None
            for statement in module.body if module else []:
                for name, tasks in _registered(statement):
                    assert isinstance(statement, ast.FunctionDef)
                    found.setdefault(name, []).append(((".".join(parts), statement.name), tasks))
        return found

    def recipe(self, task: str) -> list[Any]:
        """What the protocol says of the task's step: its optimizer, and the network's own settings."""
        recipes = (best_effort(yaml.safe_load, self.texts.get(PROTOCOL, "")) or {}).get("recipes", {})
        chosen = [recipe for glob, recipe in recipes.items() if fnmatchcase(task, glob)]
        return [[recipe.get("optimizer"), recipe.get("network")] for recipe in chosen]


@cache
def _module(text: str) -> Module:
    """Parsed once, for the many trees that have the same text."""
    return Module(text)


def is_looked_into(module: str) -> bool:
    """Whether a step's time may depend on a module: layers, networks and the step, not the registry."""
    if module in LOOKED_INTO:
        return True
    return module.startswith("models.") and not any(module == name or module.startswith(f"{name}.") for name in NOT_LOOKED_INTO)


def is_source(path: str) -> bool:
    """Whether a path below the suite's folder holds what an identity may depend on."""
    return path == PROTOCOL or (path.endswith(".py") and is_looked_into(path.removesuffix(".py").replace("/", ".")))


def _registered(statement: ast.stmt) -> Iterable[tuple[str, tuple[str, ...]]]:
    """(name, globs of tasks) of each `@register("name", tasks=...)` above a function."""
    for decorator in statement.decorator_list if isinstance(statement, ast.FunctionDef) else []:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == REGISTER:
            given = {keyword.arg: keyword.value for keyword in decorator.keywords}
            name = best_effort(ast.literal_eval, *decorator.args[:1])
            tasks = best_effort(ast.literal_eval, given.get("tasks"), otherwise="*")
            yield name, (tasks,) if isinstance(tasks, str) else tuple(tasks)


@cache
def source_here(root: Path = ROOT) -> SourceTree:
    """The suite's own files, read once a process: what is imported does not change with them."""
    paths = [path for folder in ("models", "bench") for path in sorted((root / folder).rglob("*.*"))]
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return SourceTree({name: path.read_text("utf-8", "replace") for name, path in names.items() if is_source(name)})


def code_timed(model: str, task: str) -> CodeTimed | None:
    """What a timing says of its code: of the model, which may be anybody's, and of the plain network on that task."""
    tree, plain = source_here(), source_here().code_of(PLAIN, task)
    info = models.info(model, task)
    own = best_effort(_strangers_code, info, task, tree) if info.source else tree.code_of(model, task)
    return CodeTimed(model=own, plain=plain) if own and plain else None


def _strangers_code(model: models.ModelInfo, task: str, tree: SourceTree) -> str:
    """Of a plugin's or package's model: all of its own files, and what they reach of the suite."""
    files = files_of(Path(model.plugin)) if model.plugin else package_files(model.module)
    texts = {f"{name} of {model.name}": file.read_text("utf-8", "replace") for name, file in files.items()}
    return SourceTree(tree.texts, texts).hash([*STEP, *((name, None) for name in texts)], task)
