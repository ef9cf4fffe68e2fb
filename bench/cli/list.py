"""`bench list`: what can be run. Only models need torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Plugin, load_plugins


def list_(
    what: Annotated[str, Argument(help="models, tasks, protocols or plans")] = "models",
    task: Annotated[str | None, Option(help="Only models that have a network for this task.")] = None,
    plugin: Plugin = None,
) -> None:
    """List models (with their options and where they are registered), tasks, protocols or plans."""
    from bench.errors import BenchError
    from models.errors import suggestion

    kinds = {"models": lambda: _models(task, plugin), "tasks": _tasks, "protocols": _protocols, "plans": _plans}
    if what not in kinds:
        raise BenchError(f"cannot list {what!r}{suggestion(what, kinds)}; try: bench list {' | '.join(kinds)}")
    kinds[what]()


def _models(task: str | None, plugins: list[Path] | None) -> None:
    import models

    load_plugins(plugins)
    wanted = set(models.list_models(task))
    for model in models.infos():
        if model.name in wanted and (task is None or model.supports(task)):
            print(f"{model.name:<14} {', '.join(model.tasks):<16} {model.origin:<24} {model.paper}")
            for option in model.options:
                values = sorted({value for by_task in model.options[option].values() for value in by_task})
                print(f"{'':<14} {model.name}@{option}={'|'.join(values)}")


def _tasks() -> None:
    import datasets

    print("\n".join(datasets.TASKS))


def _protocols() -> None:
    from bench.protocol import built_in_protocols, load_protocol

    for name in built_in_protocols():
        print(f"{name:<10} {load_protocol(name).summary}")


def _plans() -> None:
    from bench.plan import known_plans, load_plan

    for name in known_plans():
        print(f"{name:<10} {load_plan(name).summary}")
