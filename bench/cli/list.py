"""`bench list`: what can be run. Only models need torch."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from bench.cli.json_output import Json, print_json
from bench.cli.options import Plugin, load_plugins

if TYPE_CHECKING:
    from models import ModelInfo

NARROWEST = 40  # columns of a terminal that lines are still folded for


def list_(
    what: Annotated[str, Argument(help="models, tasks, protocols or plans")] = "models",
    task: Annotated[list[str] | None, Option(help="models: only those for this task or glob. Repeatable.")] = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """List models (with their options and where they are registered), tasks, protocols or plans."""
    from bench.errors import BenchError
    from models.errors import suggestion

    kinds = {"models": _models, "tasks": _tasks, "protocols": _protocols, "plans": _plans}
    if what not in kinds:
        raise BenchError(f"cannot list {what!r}{suggestion(what, kinds)}; try: bench list {' | '.join(kinds)}")
    if what == "models":
        rows, found = _models(task, plugin)
    elif task is not None or plugin:
        raise BenchError(f"--task and --plugin are for models; type: bench list {what}")
    else:
        rows, found = kinds[what]()
    if json:
        print_json({what: found})
    else:
        print(*_columns(rows), sep="\n")


Found = tuple[Sequence[Sequence[str]], list[dict[str, Any]]]  # the rows of the table, and the same as objects


def _models(task: list[str] | None = None, plugins: list[Path] | None = None) -> Found:
    import models
    from bench.plan import match_tasks

    load_plugins(plugins)
    wanted = match_tasks(task or ["*"])
    known = [model for model in models.infos() if any(map(model.supports, wanted))]
    rows: list[Sequence[str]] = []
    for model in known:
        rows.append((model.name, ", ".join(model.tasks), model.origin, model.paper))
        for option, by_task in model.options.items():
            values = sorted({value for values in by_task.values() for value in values})
            rows.append((f"  {model.name}@{option}={'|'.join(values)}",))
    return rows, [_described(model) for model in known]


def _described(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "tasks": model.known_tasks,
        "options": {task: model.choices(task) for task in model.known_tasks},  # of each all values, the default first
        "paper": model.paper,
        "origin": model.origin,
        "plugin": model.plugin or None,
        "source": model.source or None,
    }


def _tasks() -> Found:
    import datasets

    rows: list[Sequence[str]] = []
    found = []
    for task in datasets.TASKS:
        shape, images, augmented = datasets.image_shape(task), datasets.sizes(task), task.endswith("+")
        counts = ", ".join(f"{count:,} {split}" for split, count in images.items())
        rows.append((task, " x ".join(map(str, shape)), counts, "training images augmented" if augmented else ""))
        described = {"name": task, "image_shape": shape, "images": images, "augmented": augmented}
        found.append({**described, "realizations": datasets.REALIZATIONS})
    return rows, found


def _protocols() -> Found:
    import datasets
    from bench.protocol import built_in_protocols, load_protocol

    rows: list[Sequence[str]] = []
    found = []
    for protocol in map(load_protocol, built_in_protocols()):
        recipes = {task: recipe for task in datasets.TASKS if (recipe := protocol.recipe(task)) is not None}
        rows.append((protocol.name, protocol.summary))
        described = protocol.model_dump(include={"name", "summary", "smoke", "realizations"})
        settings = {task: {"digest": recipe.digest, "settings": recipe.settings} for task, recipe in recipes.items()}
        found.append({**described, "recipes": settings})
    return rows, found


def _plans() -> Found:
    from bench.plan import known_plans, load_plan

    plans = {name: load_plan(name) for name in known_plans()}
    rows = [(name, plan.summary) for name, plan in plans.items()]
    return rows, [{"name": name, **plan.model_dump()} for name, plan in plans.items()]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, their cells below one another; on a terminal the last cell goes on below itself.

    A row of a single cell stands for itself and makes no column wider.
    """
    widths = [max(map(len, column)) for column in zip(*(row for row in rows if len(row) > 1), strict=True)][:-1]
    indent = sum(width + 2 for width in widths)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if 0 < columns < indent + NARROWEST:
        indent = 4
    lines: list[str] = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)] if len(row) > 1 else []
        line = "  ".join([*cells, row[-1]]).rstrip()
        fold = textwrap.TextWrapper(columns, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False)
        lines += fold.wrap(line) if columns > NARROWEST else [line]
    return lines
