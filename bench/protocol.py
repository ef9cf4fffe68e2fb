"""Protocols: how a run is trained, selected and tested.

A protocol is a YAML file: `paper` and `quick` lie in bench/protocols, a user's own is given by its path. It holds a recipe per
task glob (the first that matches is used) and may start from another protocol with `extends`. Unknown keys are errors.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, field_validator

import datasets
from bench.errors import BenchError
from bench.recipe import Adam, CropFlipCutout, Data, LearningRateSteps, Recipe, Rescaling, Sgd
from bench.settings import Flag, Settings, read_yaml
from leaderboard.errors import one_line
from leaderboard.records.schema import MEASUREMENTS, Name
from models.errors import suggestion

BUILT_IN = Path(__file__).parent / "protocols"
MAX_EXTENDS = 3  # a file may extend one that extends another, not itself
# In a results folder, beside the folders of protocols.
RESERVED = ("leaderboard.md", "given", "profiles", "weights", *MEASUREMENTS)
OPTIMIZERS: dict[str, type[Settings]] = {"adam": Adam, "adamw": Adam, "sgd": Sgd}
TAGS: dict[str, type[Settings]] = {"Rescaling": Rescaling, "CropFlipCutout": CropFlipCutout, **OPTIMIZERS}
HINTS = {  # how to write what was meant
    "int_type": "; write a whole number in plain digits, such as 60",
    "float_type": "; write a number in plain digits, such as 0.01 or 1.0e-3",
    "finite_number": "; infinity and NaN are none",
    "bool_type": "; write true or false",
    "string_type": "; write text, in quotes if it looks like a number",
    "missing": "; a recipe that is not inherited needs every setting",
}

Realization = Annotated[int, Field(strict=True, ge=0, lt=datasets.REALIZATIONS)]


class Protocol(Settings):
    """A named set of recipes."""

    name: Annotated[Name, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    summary: Annotated[str, AfterValidator(one_line)]
    smoke: Flag = False
    realizations: list[Realization] = Field(min_length=1)
    recipes: dict[str, Recipe] = Field(min_length=1)

    @field_validator("realizations")
    @classmethod
    def _each_once(cls, numbers: list[int]) -> list[int]:
        if len(numbers) > len(set(numbers)):
            raise ValueError(f"each realization once, such as {list(dict.fromkeys(numbers))}")
        return numbers

    def with_settings(self, **settings: Any) -> Protocol:
        """The same with these settings in every recipe; those that are None stay as they are."""
        changes = {name: value for name, value in settings.items() if value is not None}
        recipes = {pattern: recipe.model_copy(update=changes) for pattern, recipe in self.recipes.items()}
        return self.model_copy(update={"recipes": recipes})

    def recipe(self, task: str) -> Recipe | None:
        """The recipe for a task, or None where the protocol has none. Only '+' tasks are augmented."""
        for pattern, recipe in self.recipes.items():
            if fnmatchcase(task, pattern):
                return recipe if task.endswith("+") else recipe.model_copy(update={"augmentation": None})
        return None


def built_in_protocols() -> list[str]:
    """Names of the protocols that come with the suite."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


def load_protocol(name: str) -> Protocol:
    """Load a protocol by name, or a user's from the path of a YAML file.

    Raises BenchError: unknown name, unreadable file, unknown key, or a value that is not allowed.
    """
    if name in built_in_protocols():
        return _validate(name, _read(BUILT_IN / f"{name}.yaml"))
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = built_in_protocols()
        raise BenchError(
            f"unknown protocol {name!r}{suggestion(name, known)}; protocols: {', '.join(known)}, or the path of a .yaml file"
        )
    protocol = _validate(name, _read(path))
    if protocol.name in built_in_protocols():
        raise BenchError(f"protocol {name}: the name {protocol.name!r} is taken by a built-in protocol; choose another `name:`")
    if protocol.name.lower() in RESERVED:
        raise BenchError(
            f"protocol {name}: {protocol.name!r} is the name of a folder of measurements, or of something else that results "
            "folders hold; choose another `name:`"
        )
    return protocol


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except BenchError as error:
        raise BenchError(
            f"protocol {one_line(path)}: {error}; give a readable .yaml file or one of {built_in_protocols()}"
        ) from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise BenchError(f"protocol {one_line(path)}: a mapping is needed (name:, summary:, recipes:); found {found}")
    parent = content.pop("extends", None)
    if parent is None:
        return content
    if parent not in built_in_protocols() or depth > MAX_EXTENDS:
        raise BenchError(f"protocol {path}: `extends: {parent}` is unknown; it can extend {', '.join(built_in_protocols())}")
    merged: dict[str, Any] = _merge(_read(BUILT_IN / f"{parent}.yaml", depth + 1), content)
    return merged


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return changes
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = _merge(base.get(key), value)
    return merged


def _validate(name: str, content: dict[str, Any]) -> Protocol:
    recipes = content.get("recipes")
    if isinstance(recipes, dict):  # `stl10+: null` leaves out a recipe of the protocol that this one extends
        recipes = {pattern: recipe for pattern, recipe in recipes.items() if recipe is not None}
        content = {**content, "recipes": recipes}
        _check_patterns(name, [pattern for pattern in recipes if isinstance(pattern, str)])
    try:
        return Protocol.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = one_line(".".join(str(part) for part in first["loc"] if part not in TAGS))
        message = one_line(first["msg"].removeprefix("Value error, "))
        said = f"unknown key `{where}`" if first["type"] == "extra_forbidden" else f"`{where}`: {message}"
        raise BenchError(f"protocol {one_line(name)}: {said}{_allowed(first)}") from error


def _check_patterns(name: str, patterns: Iterable[str]) -> None:
    """Raises BenchError: a recipe is for no task, or only for tasks that one before it takes."""
    taken: dict[str, str] = {}
    for pattern in patterns:
        tasks = [task for task in datasets.TASKS if fnmatchcase(task, pattern)]
        if not tasks:
            known = f"{suggestion(pattern, datasets.TASKS)}; tasks: {', '.join(datasets.TASKS)}"
            raise BenchError(f"protocol {one_line(name)}: `recipes.{one_line(pattern, 60)}` is for no task{known}")
        if all(task in taken for task in tasks):
            raise BenchError(
                f"protocol {one_line(name)}: `recipes.{pattern}` is never used, as `{taken[tasks[0]]}` before it is for "
                f"{tasks[0]} too; write it under that name, or leave that one out with `null`"
            )
        taken = dict.fromkeys(tasks, pattern) | taken


def _allowed(error: Any) -> str:
    """Which keys may stand where the unknown one stands, and the nearest; or what was given and how to write what was meant."""
    if error["type"] != "extra_forbidden":
        whole = error["type"] == "missing" or isinstance(error["input"], Mapping)
        given = "" if whole else f" (given: {one_line(reprlib.repr(error['input']), 80)})"
        return given + HINTS.get(error["type"], "")
    model: Any = Protocol
    inside: dict[str, type[Settings]] = {"recipes": Recipe, "data": Data, "learning_rate_steps": LearningRateSteps, **TAGS}
    for part in error["loc"][:-1]:
        model = inside.get(str(part), model)
    keys = list(model.model_fields)
    return f"{suggestion(str(error['loc'][-1]), keys)}; allowed there: {', '.join(keys)}"
