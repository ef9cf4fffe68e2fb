"""What may be typed where a name is asked for, found in a moment: no torch, no code of models, no record is read.

A parameter of a verb is completed by what it is called, whatever the verb: see `BY_NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from typer import Context

from datasets import TASKS

HERE = Path(__file__).parents[1]  # the package bench
LONGEST_LIST = 2000  # of run ids; a shell is no place to choose from more


def model_names(ctx: Context, incomplete: str) -> list[str]:
    """Models, those of a plugin named before too; after an @ or a comma their options with all values."""
    from models.registry.unimported import method_files, names_in, options_of

    files = [*method_files(), *_paths(ctx, "plugin")]
    name, at, rest = incomplete.partition("@")
    if not at:
        return names_in(files)
    chosen = rest.split(",")[:-1]
    before = "".join([f"{name}@", *(f"{option}," for option in chosen)])
    left = {
        option: values
        for option, values in options_of(name, files).items()
        if option not in {o.partition("=")[0] for o in chosen}
    }
    return [f"{before}{option}={value}" for option, values in left.items() for value in values]


def run_ids(ctx: Context, incomplete: str) -> list[str]:
    """Runs that have a record, by the names of files in the folders that the command reads."""
    roots = _paths(ctx, "records") or _paths(ctx, "results") or [Path("records"), Path("results")]
    paths = (path for root in roots for path in root.glob("*/*/*/*.json"))
    found = {path.stem for path in paths if path.stem.startswith(incomplete) and _is_run(path)}
    return sorted(found)[:LONGEST_LIST]


def protocol_names(ctx: Context, incomplete: str) -> list[str]:
    """The suite's own, and the YAML files where the user stands."""
    return [*_stems("protocols"), *sorted(path.name for path in Path().glob("*.y*ml"))]


def _stems(folder: str) -> list[str]:
    return sorted(path.stem for path in (HERE / folder).glob("*.yaml"))


def _is_run(path: Path) -> bool:
    """Whether the file lies and is called as a run's record: PROTOCOL/TASK/MODEL/RUN_ID.json."""
    protocol, task, model = (re.escape(part) for part in path.parts[-4:-1])
    return re.fullmatch(rf"{model}_{task}_r[0-9]+_{protocol}_[0-9a-f]{{10}}", path.stem) is not None


def _paths(ctx: Context, parameter: str) -> list[Path]:
    """What was given for a parameter, one path or several, or its default."""
    given = ctx.params.get(parameter)
    return [Path(path) for path in (given if isinstance(given, Iterable) and not isinstance(given, str) else [given]) if path]


BY_NAME: dict[str, Callable[[Context, str], Iterable[str]]] = {
    **dict.fromkeys(("model", "a", "b"), model_names),
    **dict.fromkeys(("run", "runs", "run_id"), run_ids),
    "task": lambda *_: TASKS,
    "protocol": protocol_names,
    "plan": lambda *_: _stems("plans"),
    "device": lambda *_: ("auto", "cpu", "cuda"),  # which there are takes torch to say
    "engine": lambda *_: ("local", "ray", "slurm"),
    "precision": lambda *_: ("float32", "tf32", "bf16"),
    "what": lambda *_: ("models", "tasks", "protocols", "plans"),
    "shell": lambda *_: ("bash", "zsh", "fish"),
}
