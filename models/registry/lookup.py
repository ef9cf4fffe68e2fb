"""The registry: a name on the command line -> a builder in a method file.

A builder is registered where it is written, and nowhere else:

    @register("sesn-scalar", tasks="mnist-scale-*", paper="Sosnovik et al. 2020", options={"config": {...}})
    def sesn_scalar(task, *, config): ...

Built-in method files are *read* for these lines, not imported, so listing models needs no torch; `create` imports the one
file that it needs. Third-party models come from the entry-point group `bench.models` or from a file given to `load_plugin`;
who asks for a built-in model runs no code of theirs. A method file or a package that cannot be used is left out, which is said
in one line when models are listed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import ModelError, suggestion
from models.registry.content import content_hash, package_files
from models.registry.draws import same_draws
from models.registry.registration import TASKS, Options, Registration, check_builder, checked
from models.registry.scan import folder_and_name, scan_package
from models.registry.strangers import entry_points, guarded

if TYPE_CHECKING:
    from torch import nn

Builder = TypeVar("Builder", bound="Callable[..., nn.Module]")


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

    def values(self, task: str) -> dict[str, Mapping[str, Any]]:
        """The options on this task: {option: {value in a model's name: value that the builder gets}}, the default first."""
        return {
            option: values
            for option, by_task in self.options.items()
            for pattern, values in by_task.items()
            if fnmatchcase(task, pattern)
        }

    def choices(self, task: str) -> dict[str, tuple[str, ...]]:
        """The options that may stand in the name on this task: {option: (default, other, ...)}."""
        return {option: tuple(values) for option, values in self.values(task).items()}


# One name may stand for several networks, each for tasks of its own (`cnn` is a WRN-16-8 on stl10+).
_catalogue: dict[str, list[ModelInfo]] = {}
_builders: dict[ModelInfo, Callable[..., nn.Module]] = {}
_scanned: set[str] = set()  # "own", "packages"; and "strangers", once code of others ran in this process
_code = [("", "")]  # source and plugin of what registers models now
_left_out: dict[str, str] = {}  # file or package -> why, in one line
_told: set[str] = set()  # of these


def register(
    name: str, tasks: str | Iterable[str] = (), paper: str = "", options: Mapping[str, Any] | None = None
) -> Callable[[Builder], Builder]:
    """Register a builder, called as `builder(task, **options) -> torch.nn.Module`, under a public name.

    A builder is anything that can be called so: a function, a class, a partial, an object. `tasks`: one glob or several, e.g.
    "mnist-scale-*". `options`: arguments that may be named on the command line (`name@option=value`), each with its allowed
    values, texts or numbers, the default first: per task glob, or one list for all tasks.

    Raises ModelError: the arguments are not of this form, another builder has the name for one of these tasks, or the name
    with its options could not become a file's name and part of a record (models/registry/registration.py).
    """
    given = checked(name, tasks, paper, options, origin=_place(sys._getframe(1)))

    def decorate(builder: Builder) -> Builder:
        frame = sys._getframe(1)
        new = replace(given, origin=_place(frame), module=frame.f_globals.get("__name__", "__main__"))
        check_builder(new, builder)
        _builders[_add(new)] = builder
        return builder

    return decorate


def _place(frame: FrameType) -> str:
    """Where code stands, as a reader would say it: `models/sesn.py:306`, of other folders' files the file's own name."""
    file = Path(frame.f_code.co_filename)
    return f"{folder_and_name(file) if file.parent == Path(__file__).parents[1] else file.name}:{frame.f_lineno}"


def _add(new: Registration) -> ModelInfo:
    model = ModelInfo(new.name, new.tasks, new.paper, new.options, new.origin, new.module, *_code[-1])
    namesakes = [known for models in _catalogue.values() for known in models if known.name.casefold() == new.name.casefold()]
    for known in namesakes:
        if known not in _builders and _same(known, new):
            return known  # read by the scan, now imported
        shared = [task for task in TASKS if known.supports(task) and model.supports(task)]
        if new.module == known.module == "__main__" and new.name == known.name and shared and _is_interactive():
            _catalogue[new.name].remove(known)  # the cell of a notebook, run again
        elif shared or new.name != known.name:
            capitals = f", but for capitals as {known.name!r}" if new.name != known.name else ""
            raise ModelError(
                f"model name {new.name!r} is registered twice for {(shared or new.tasks)[0]}{capitals}: "
                f"{known.origin} and {model.origin}; give one of them another name"
            )
    _catalogue.setdefault(new.name, []).append(model)
    return model


def _same(known: ModelInfo, new: Registration) -> bool:
    return (known.module, known.name, known.tasks) == (new.module, new.name, new.tasks)


def _is_interactive() -> bool:
    return str(getattr(sys.modules.get("__main__"), "__file__", "<")).startswith("<")  # a script has a file


@contextmanager
def registering(source: str, plugin: str = "") -> Iterator[None]:
    """Models registered within are of this code: its hash, and the plugin's file if it is one. All, or after an error none."""
    before = {name: list(known) for name, known in _catalogue.items()}
    _code.append((source, plugin))
    _scanned.add("strangers")
    try:
        yield
    except BaseException:
        _catalogue.clear()
        _catalogue.update(before)
        for model in [model for model in _builders if model not in before.get(model.name, ())]:
            del _builders[model]  # those of method files that were imported by the way stay
        raise
    finally:
        _code.pop()


def strangers_ran() -> bool:
    """Whether code of others ran in this process, which may have changed anything in it."""
    return "strangers" in _scanned


def _scan() -> None:
    """Find all models, once per process, at the first question that concerns them."""
    _scan_own()
    if "packages" in _scanned:
        return
    _scanned.add("packages")
    for found in entry_points():
        if isinstance(found, ModelError):
            _left_out[f"an installed package ({found})"] = str(found)
            continue
        what = f"entry point {found.name} = {found.value}"
        try:
            with guarded(), registering(content_hash(package_files(found.module))), same_draws():
                found.load()
        except ModelError as error:
            _left_out[what] = f"{what} did not load and is left out: {error}"


def _scan_own() -> None:
    if "own" in _scanned:
        return
    _scanned.add("own")
    for found in scan_package(Path(__file__).parents[1]):
        try:
            if isinstance(found, ModelError):
                raise found
            if not any(_same(known, found) for known in _catalogue.get(found.name, [])):  # its file was imported before
                _add(found)
        except ModelError as error:
            if isinstance(found, Registration):  # a contradiction: neither of the two silently wins
                _catalogue.pop(found.name, None)
            _left_out[str(error).partition(": ")[0]] = f"{error}; left out"


def infos() -> list[ModelInfo]:
    """Every registered model, by name. What had to be left out is said on standard error, once."""
    _scan()
    for what in [what for what in _left_out if what not in _told]:
        _told.add(what)
        print(f"models: {_left_out[what]}", file=sys.stderr)
    return known_so_far()


def known_so_far() -> list[ModelInfo]:
    """The built-in models and those of plugins loaded until now, by name; for this no installed package is imported."""
    _scan_own()
    return [model for name in sorted(_catalogue) for model in _catalogue[name]]


def list_models(task: str | None = None) -> list[str]:
    """Names of the registered models, sorted; with `task` those that have a network for it.

    Raises ModelError: unknown task.
    """
    if task is not None:
        _check_task(task)
    return sorted({model.name for model in infos() if task is None or model.supports(task)})


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
        raise ModelError(
            f"unknown model {base!r}{suggestion(base, known)}; models: {', '.join(known)}; "
            + "; ".join(["a model of your own needs --plugin FILE", *(f"left out: {what}" for what in _left_out)])
        )
    for model in _catalogue[base]:
        if model.supports(task):
            return model
    tasks = [task for task in TASKS if any(model.supports(task) for model in _catalogue[base])]
    raise ModelError(f"model {base!r} has no network for task {task!r}{suggestion(task, tasks)}; tasks: {', '.join(tasks)}")


def builder_of(model: ModelInfo) -> Callable[..., nn.Module]:
    """What builds it; a built-in model's file is imported for it. Raises ModelError: the file no longer registers it."""
    if model not in _builders:
        importlib.import_module(model.module)
    if model not in _builders:
        raise ModelError(f"{model.origin} no longer registers {model.name!r}; start anew after editing method files")
    return _builders[model]
