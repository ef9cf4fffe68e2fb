"""Protocols: how a run is trained, selected and tested.

A protocol is a YAML file: `paper` and `quick` lie in bench/protocols, a user's own is given by its path. It holds a recipe per
task glob (the first that matches is used) and may start from another protocol with `extends`. Unknown keys are errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BenchError
from leaderboard.errors import one_line
from leaderboard.schema import MEASUREMENTS
from models.scan import suggestion

BUILT_IN = Path(__file__).parent / "protocols"
MAX_EXTENDS = 3  # a file may extend one that extends another, not itself


class Settings(BaseModel):
    """Base of everything a protocol file may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Settings):
    """Which split, how many images of each part (None: all), and how many central pixels of them (None: all).

    `test_size` is 8,000 on STL-10, which has no validation part.
    """

    test_size: Literal[50_000, 48_000, 8_000] = 50_000
    train_images: int | None = Field(default=None, gt=0)
    validation_images: int | None = Field(default=None, gt=0)
    test_images: int | None = Field(default=None, gt=0)
    central_pixels: int | None = Field(default=None, ge=24)

    @property
    def variant(self) -> str:
        """The split as the board names it, e.g. 10k-2k-50k, or 5k-8k for STL-10."""
        return "5k-8k" if self.test_size == 8_000 else f"10k-2k-{self.test_size // 1000}k"


class Rescaling(Settings):
    """The '+' of mnist-scale: every training image rescaled about `centre` by a factor drawn uniformly, anew at every visit."""

    scale: tuple[float, float]
    centre: float


class CropFlipCutout(Settings):
    """The '+' of stl10: pad by `pad` and crop anew, flip half of the images, hide a square of side `cutout`."""

    pad: int = Field(ge=0)
    cutout: int = Field(ge=0)


class Adam(Settings):
    """Kingma and Ba 2015, as torch.optim.Adam names it."""

    name: Literal["adam"]
    lr: float = Field(gt=0)
    betas: tuple[float, float]
    eps: float
    weight_decay: float = Field(ge=0)


class Sgd(Settings):
    """Stochastic gradient descent as torch.optim.SGD names it; the weight decay acts on every trainable parameter."""

    name: Literal["sgd"]
    lr: float = Field(gt=0)
    momentum: float = Field(ge=0)
    nesterov: bool
    weight_decay: float = Field(ge=0)


class LearningRateSteps(Settings):
    """Multiply the learning rate by `factor` after each of these numbers of epochs."""

    factor: float = Field(gt=0)
    after_epochs: list[int]


# How a run is computed and not what: these change rounding and nothing else, so a recipe's digest does not know of them.
EXECUTION = ("batch_split", "channels_last", "compile", "cuda_graph", "evaluation_batch")


class Recipe(Settings):
    """Everything that decides a run's numbers on one task, apart from the model and the realization; and how it is computed.

    `select`: test the weights of the best validation epoch, or those of the last epoch. `network`: arguments of the builder; a
    run that sets any is of another network than the published one and never stands on the board.

    The rest (EXECUTION) changes rounding at most. `batch_split`: each batch goes through the network in so many parts, to save
    memory; the update is that of the whole batch (models/layers/in_parts.py). `cuda_graph`: steps are replayed as CUDA graphs
    (None: wherever the device is CUDA and the network allows it). `evaluation_batch`: images at a time without gradients
    (None: the device's usual number).
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    optimizer: Annotated[Adam | Sgd, Field(discriminator="name")]
    learning_rate_steps: LearningRateSteps
    augmentation: Rescaling | CropFlipCutout | None
    select: Literal["best-validation", "last"]
    precision: Literal["float32", "tf32", "bf16"]
    data: Data
    batch_split: int = Field(default=1, ge=1)
    channels_last: bool = False
    compile: bool = False
    cuda_graph: bool | None = None
    evaluation_batch: int | None = Field(default=None, ge=1)
    network: dict[str, int | float] = Field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """A short hash of `settings`: two recipes are the same if and only if their digests are."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def model_copy(self, **changes: Any) -> Self:
        """A copy with other settings, and so with a digest of its own."""
        copy = super().model_copy(**changes)
        copy.__dict__.pop("digest", None)
        return copy

    @property
    def settings(self) -> dict[str, Any]:
        """As plain JSON, without EXECUTION. What came later is left out at its default, so that older digests stay the same."""
        settings = self.model_dump(mode="json", exclude=set(EXECUTION))
        if not settings["network"]:
            del settings["network"]
        if settings["data"]["central_pixels"] is None:
            del settings["data"]["central_pixels"]
        return settings


class Protocol(Settings):
    """A named set of recipes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str
    smoke: bool = False
    realizations: list[int] = Field(min_length=1)
    recipes: dict[str, Recipe] = Field(min_length=1)

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
    if protocol.name in MEASUREMENTS:
        raise BenchError(f"protocol {name}: {protocol.name!r} is the name of a folder of measurements; choose another `name:`")
    return protocol


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise BenchError(f"protocol {path}: {reason}; give a readable .yaml file or one of {built_in_protocols()}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BenchError(f"protocol {path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise BenchError(f"protocol {path}: a mapping is needed (name:, summary:, recipes:); found {type(content).__name__}")
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
        content = {**content, "recipes": {task: recipe for task, recipe in recipes.items() if recipe is not None}}
    try:
        return Protocol.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = one_line(".".join(str(part) for part in first["loc"]))
        said = f"unknown key `{where}`" if first["type"] == "extra_forbidden" else f"`{where}`: {one_line(first['msg'])}"
        raise BenchError(f"protocol {name}: {said}{_allowed(first)}") from error


def _allowed(error: Any) -> str:
    """Which keys may stand where the unknown one stands, and the nearest."""
    if error["type"] != "extra_forbidden":
        return f" (given: {str(error['input'])[:80]!r})"
    model: Any = Protocol
    inside: dict[str, type[Settings]] = {"recipes": Recipe, "data": Data, "learning_rate_steps": LearningRateSteps}
    inside |= {"Rescaling": Rescaling, "CropFlipCutout": CropFlipCutout, "adam": Adam, "sgd": Sgd}
    for part in error["loc"][:-1]:
        model = inside.get(str(part), model)
    keys = list(model.model_fields)
    return f"{suggestion(str(error['loc'][-1]), keys)}; allowed there: {', '.join(keys)}"
