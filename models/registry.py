"""The registry: a name on the command line -> a builder function in a method file.

A builder is registered where it is written, and nowhere else:

    @register("sesn-scalar", tasks="mnist-scale-*", paper="Sosnovik et al. 2020", options={"config": {...}})
    def sesn_scalar(task, *, config): ...

Built-in method files are *read* for these lines, not imported, so listing models needs no torch; `create` imports the one
file that it needs. Third-party models come from the entry-point group `bench.models` or from a file given to `load_plugin`.

A model's name may carry options, `sesn-scalar@config=28p`; `canonical_name` drops those that are the task's default, so that
one network has one name.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, get_args, get_origin, get_type_hints

from models.content import content_hash, package_files
from models.errors import ModelError
from models.scan import Registration, folder_and_name, scan_package, suggestion

if TYPE_CHECKING:
    from torch import nn

    Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

ENTRY_POINT_GROUP = "bench.models"
TASKS = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+", "stl10+")

# An option's value per task: {option: {task glob: (default, other allowed value, ...)}}.
Options = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """What is known of a registered model without building it.

    `source`: nothing for a built-in model, else the SHA-256 of the code that registers it; `plugin`: the plugin's file, if any.
    """

    name: str
    tasks: tuple[str, ...]
    paper: str
    options: Options
    origin: str
    module: str
    source: str = ""
    plugin: str = ""

    def supports(self, task: str) -> bool:
        """Whether the model has a network for this task."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)

    def choices(self, task: str) -> dict[str, tuple[str, ...]]:
        """The options that may stand in the name on this task: {option: (default, other, ...)}."""
        return {
            option: tuple(values)
            for option, by_task in self.options.items()
            for pattern, values in by_task.items()
            if fnmatchcase(task, pattern)
        }


# One name may stand for several networks, each for tasks of its own (`cnn` is a WRN-16-8 on stl10+).
_catalogue: dict[str, list[ModelInfo]] = {}
_builders: dict[ModelInfo, Callable[..., nn.Module]] = {}
_scanned: set[str] = set()  # "own", "packages"
_code = [("", "")]  # source and plugin of what registers models now


def register(
    name: str, *, tasks: str | Sequence[str], paper: str = "", options: Options | None = None
) -> Callable[[Builder], Builder]:
    """Register a builder function `builder(task, **overrides) -> torch.nn.Module` under a public name.

    `tasks`: one glob or several, e.g. "mnist-scale-*". `options`: overrides that may be named on the command line
    (`name@option=value`), each with its allowed values per task glob, the default first.

    Raises ModelError: another builder has the name for one of these tasks, or the name is not made of letters, digits,
    '.', '_' and '-'.
    """

    def decorate(builder: Builder) -> Builder:
        origin = f"{_short(inspect.getsourcefile(builder) or '?')}:{builder.__code__.co_firstlineno}"
        model = _add(Registration(name, tasks, paper, options or {}, origin, builder.__module__))
        _builders[model] = builder
        return builder

    return decorate


def _add(new: Registration) -> ModelInfo:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", new.name):
        raise ModelError(f"model name {new.name!r} ({new.origin}): use letters, digits, '.', '_' and '-' only")
    tasks = (new.tasks,) if isinstance(new.tasks, str) else tuple(new.tasks)
    model = ModelInfo(new.name, tasks, new.paper, new.options, new.origin, new.module, *_code[-1])
    namesakes = _catalogue.setdefault(new.name, [])
    for known in namesakes:
        if (known.origin, known.module) == (model.origin, model.module):
            return known  # read by the scan, now imported
        shared = [task for task in TASKS if known.supports(task) and model.supports(task)]
        if shared or set(known.tasks) & set(tasks):
            raise ModelError(
                f"model name {new.name!r} is registered twice for {(shared or tasks)[0]}: "
                f"{known.origin} and {model.origin}; give one of them another name"
            )
    namesakes.append(model)
    return model


def _short(path: str) -> str:
    """A path as a reader would say it: `models/sesn.py` for this package's files, elsewhere the file's own name."""
    file = Path(path)
    return folder_and_name(file) if file.parent == Path(__file__).parent else file.name


@contextmanager
def registering(source: str, plugin: str = "") -> Iterator[None]:
    """Models registered within are of this code: its hash, and the plugin's file if it is one."""
    _code.append((source, plugin))
    try:
        yield
    finally:
        _code.pop()


def _scan() -> None:
    """Find all models, once per process, at the first question that concerns them."""
    _scan_own()
    if "packages" in _scanned:
        return
    _scanned.add("packages")
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            with registering(content_hash(package_files(entry_point.module))):
                entry_point.load()
        except Exception as error:  # a stranger's package may raise anything
            print(
                f"models: entry point {entry_point.name} = {entry_point.value} did not load and is left out: "
                f"{type(error).__name__}: {error}",
                file=sys.stderr,
            )


def _scan_own() -> None:
    if "own" not in _scanned:
        _scanned.add("own")
        for registration in scan_package(Path(__file__).parent):
            _add(registration)


def _all() -> list[ModelInfo]:
    _scan()
    return [model for name in sorted(_catalogue) for model in _catalogue[name]]


def infos() -> list[ModelInfo]:
    """Every registered model, by name."""
    return _all()


def list_models(task: str | None = None) -> list[str]:
    """Names of the registered models, sorted; with `task` those that have a network for it.

    Raises ModelError: unknown task.
    """
    if task is not None:
        _check_task(task)
    return sorted({model.name for model in _all() if task is None or model.supports(task)})


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ModelError(f"unknown task {task!r}{suggestion(task, TASKS)}; tasks: {', '.join(TASKS)}")


def info(name: str, task: str) -> ModelInfo:
    """What is known of a model on a task; options in the name are ignored.

    Raises ModelError: unknown name, unknown task, or no network for this task.
    """
    _check_task(task)
    base = name.partition("@")[0]
    _scan_own()
    if not any(model.supports(task) for model in _catalogue.get(base, ())):
        _scan()  # not before: who asks for a built-in model runs no stranger's code
    if base not in _catalogue:
        known = list_models()
        raise ModelError(f"unknown model {base!r}{suggestion(base, known)}; models: {', '.join(known)}")
    for model in _catalogue[base]:
        if model.supports(task):
            return model
    tasks = [task for task in TASKS if any(model.supports(task) for model in _catalogue[base])]
    raise ModelError(f"model {base!r} has no network for task {task!r}{suggestion(task, tasks)}; tasks: {', '.join(tasks)}")


def _options(name: str, task: str) -> dict[str, str]:
    """The options in a name, checked against the model's choices on this task."""
    model = info(name, task)
    choices = model.choices(task)
    chosen: dict[str, str] = {}
    for part in filter(None, name.partition("@")[2].split(",")):
        option, _, value = part.partition("=")
        if option not in choices:
            allowed = ", ".join(choices) or "none"
            raise ModelError(f"model {name!r}: no option {option!r} on task {task!r}; options there: {allowed}")
        if value not in choices[option]:
            raise ModelError(
                f"model {name!r}: option {option!r} cannot be {value!r} on task {task!r}; "
                f"allowed: {', '.join(choices[option])} (e.g. {model.name}@{option}={choices[option][-1]})"
            )
        chosen[option] = value
    return chosen


def canonical_name(name: str, task: str) -> str:
    """The one name of this network on this task: options sorted, those at their default left out.

    Raises ModelError: unknown model, option or value, or the model has no network for the task.
    """
    model = info(name, task)
    choices = model.choices(task)
    chosen = {option: value for option, value in _options(name, task).items() if value != choices[option][0]}
    return "@".join(filter(None, [model.name, ",".join(f"{option}={chosen[option]}" for option in sorted(chosen))]))


def create(name: str, task: str, **overrides: Any) -> nn.Module:
    """Build a network: logits (N, 10) for inputs (N, 1, 28, 28) on mnist-scale-* or (N, 3, 96, 96) on stl10+.

    Options in the name and `overrides` are passed to the builder. Weights are drawn from torch's global generator.

    Raises ModelError: unknown model, task, option or override (one line that says what is allowed).
    """
    model = info(name, task)
    defaults = {option: values[0] for option, values in model.choices(task).items()}
    arguments: dict[str, Any] = {**defaults, **_options(name, task), **overrides}
    if model.plugin:
        importlib.import_module("models.plugins").use_folder(Path(model.plugin).parent)
    if model not in _builders:
        importlib.import_module(model.module)
    accepted = _overrides(_builders[model])
    for override in overrides:
        if accepted is not None and override not in accepted:
            raise ModelError(
                f"model {model.name!r} takes no {override!r}{suggestion(override, accepted)}; "
                f"it takes: {', '.join(accepted) or 'nothing'}"
            )
    return _builders[model](task, **arguments)


def _overrides(builder: Callable[..., nn.Module]) -> list[str] | None:
    """The names of a builder's arguments besides the task; for `**size: Unpack[Size]` the keys of the TypedDict.

    None: the builder takes whatever it is given, by a `**size` that says no more.
    """
    names: list[str] = []
    for parameter in inspect.signature(builder).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            names.append(parameter.name)
        elif get_origin(unpacked := get_type_hints(builder).get(parameter.name)) is Unpack:
            names += get_type_hints(get_args(unpacked)[0])
        else:
            return None
    return [name for name in names if name != "task"]
