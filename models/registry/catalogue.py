"""The catalogue: a name on the command line -> a builder in a method file.

A builder is registered where it is written, and nowhere else:

    @register("sesn-scalar", tasks="mnist-scale-*", paper="Sosnovik et al. 2020", options={"config": {...}})
    def sesn_scalar(task, *, config): ...

The first question imports all method files of this package. Third-party models come from the entry-point group `bench.models`
or from a file given to `load_plugin`; who asks for a built-in model runs no code of theirs. A method file or a package that
cannot be used is left out, which is said in one line when models are listed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import ModelError, said, suggestion
from models.registry.content import content_hash, package_files
from models.registry.guarded_imports import entry_points, guarded, import_method_file, short_name
from models.registry.nearby import files_that_register
from models.registry.registration import TASKS, ModelInfo, check_builder, checked

if TYPE_CHECKING:
    from torch import nn

Builder = TypeVar("Builder", bound="Callable[..., nn.Module]")
FOLDER = Path(__file__).parents[1]  # of the method files

_models: list[ModelInfo] = []
_ran: set[str] = set()  # "method files", "packages"; and "strangers", once code of others ran in this process
_code = [("", "")]  # source and plugin of what registers models now
_left_out: dict[str, str] = {}  # file or package -> why, in one line
_told: set[str] = set()  # of these


# ------------------------------------------------------------------------------------------------------------- registering


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
        frame, (source, plugin) = sys._getframe(1), _code[-1]
        module, file = frame.f_globals.get("__name__", "__main__"), frame.f_code.co_filename
        where = {"origin": _place(frame), "module": module, "file": file}
        new = replace(given, **where, source=source, plugin=plugin, builder=builder)
        check_builder(new, builder)
        _add(new)
        return builder

    return decorate


def _place(frame: FrameType) -> str:
    """Where code stands, as a reader would say it: `models/sesn.py:306`, of other folders' files the file's own name."""
    file = Path(frame.f_code.co_filename)
    return f"{short_name(file) if file.parent == FOLDER else file.name}:{frame.f_lineno}"


def _add(new: ModelInfo) -> None:
    for known in [known for known in _models if known.name.casefold() == new.name.casefold()]:
        shared = [task for task in TASKS if known.supports(task) and new.supports(task)]
        if new.module == known.module == "__main__" and new.name == known.name and shared and _is_interactive():
            _models.remove(known)  # the cell of a notebook, run again
        elif shared or new.name != known.name:
            if all(model.module.startswith(f"{FOLDER.name}.") for model in (known, new)):  # neither of two files silently wins
                _models[:] = [model for model in _models if model.name != new.name]
            capitals = f", but for capitals as {known.name!r}" if new.name != known.name else ""
            raise ModelError(
                f"model name {new.name!r} is registered twice for {(shared or new.tasks)[0]}{capitals}: "
                f"{known.origin} and {new.origin}; give one of them another name"
            )
    _models.append(new)


def _is_interactive() -> bool:
    return str(getattr(sys.modules.get("__main__"), "__file__", "<")).startswith("<")  # a script has a file


@contextmanager
def registering(source: str, plugin: str = "") -> Iterator[None]:
    """Models registered within are of this code: its hash, and the plugin's file if it is one. All, or after an error none."""
    before = list(_models)
    _code.append((source, plugin))
    _ran.add("strangers")
    try:
        yield
    except BaseException:
        _models[:] = before
        raise
    finally:
        _code.pop()


def is_registering() -> bool:
    """Whether a plugin or a package is being loaded."""
    return len(_code) > 1


def strangers_ran() -> bool:
    """Whether code of others ran in this process, which may have changed anything in it."""
    return "strangers" in _ran


# --------------------------------------------------------------------------------------------------------------- importing


def _import_all() -> None:
    """Find all models, once per process, at the first question that concerns those of installed packages."""
    _import_own()
    if "packages" in _ran:
        return
    _ran.add("packages")
    for found in entry_points():
        if isinstance(found, ModelError):
            _left_out[f"an installed package ({found})"] = str(found)
            continue
        what = f"entry point {found.name} = {found.value}"
        try:
            with guarded(), registering(content_hash(package_files(found.module))):
                found.load()
        except ModelError as error:
            _left_out[what] = f"{what} did not load and is left out: {error}"


def _import_own() -> None:
    """Find the models of this package, once per process. Raises ModelError: torch cannot be imported."""
    if "method files" in _ran:
        return
    try:
        importlib.import_module("torch")
    except Exception as error:  # whatever a broken installation raises
        raise ModelError(
            f"models need torch, which cannot be imported ({said(error)}); type: pip install 'equiscale[train]', or `make env` "
            "in a checkout"
        ) from error
    _ran.add("method files")
    try:
        import_method_files(FOLDER)
    except BaseException:  # Ctrl-C in a notebook: the next question goes on
        _ran.discard("method files")
        raise


def import_method_files(folder: Path) -> None:
    """Import the files of a package's folder, in order. One that cannot be imported costs its own models and one line.

    Hidden files (`._cnn.py` of a Mac, the lock files of editors) are none.
    """
    for file in sorted(folder.glob("*.py")):
        if file.name.startswith(".") or file.name == "__init__.py" or file.is_dir():
            continue
        try:
            import_method_file(file, f"{folder.name}.{file.stem}")
        except ModelError as error:
            _left_out[str(error).partition(": ")[0]] = f"{error}; left out"
        finally:  # modules that failed Python has dropped: they would register their models again
            own = f"{folder.name}."
            _models[:] = [known for known in _models if known.module in sys.modules or not known.module.startswith(own)]


# ------------------------------------------------------------------------------------------------------------------ asking


def infos() -> list[ModelInfo]:
    """Every registered model, by name. What had to be left out is said on standard error, once."""
    _import_all()
    for what in [what for what in _left_out if what not in _told]:
        _told.add(what)
        print(f"models: {_left_out[what]}", file=sys.stderr)
    return known_so_far()


def known_so_far() -> list[ModelInfo]:
    """The built-in models and those of plugins loaded until now, by name; for this no installed package is imported."""
    _import_own()
    return sorted(_models, key=lambda model: model.name)


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
    _import_own()
    if not any(model.name == base and model.supports(task) for model in _models):
        _import_all()  # not before: who asks for a built-in model runs no stranger's code
    namesakes = [model for model in _models if model.name == base]
    if not namesakes and (files := files_that_register(base, Path())):
        raise ModelError(f"model {base!r} is not registered; {files[0]} here registers it: add --plugin {files[0]}")
    if not namesakes:
        known = list_models()
        raise ModelError(
            f"unknown model {base!r}{suggestion(base, known)}; models: {', '.join(known)}; "
            + "; ".join(["a model of your own needs --plugin FILE", *(f"left out: {what}" for what in _left_out)])
        )
    for model in namesakes:
        if model.supports(task):
            return model
    tasks = [task for task in TASKS if any(model.supports(task) for model in namesakes)]
    raise ModelError(f"model {base!r} has no network for task {task!r}{suggestion(task, tasks)}; tasks: {', '.join(tasks)}")
