"""What a registration says. It is checked when it is made, so that whatever is registered can be run and recorded.

A model's name, with its options, becomes a part of file names, of the run's id and of the record; options become arguments.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from keyword import iskeyword
from numbers import Real
from typing import TYPE_CHECKING, Any

from models.errors import ModelError, shown, suggestion

if TYPE_CHECKING:
    from torch import nn

TASKS = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+", "stl10+")
FORM = 'the form: @models.register("my-net", tasks="mnist-scale-*") above def my_net(task): return a torch.nn.Module'
OPTIONS_FORM = 'the form: options={"width": {"mnist-scale-*": ("8", "16")}}, for every task glob all values, the default first'
LONGEST = 100  # of a name with options: leaves a run's id the half of its 200 characters, and a file's name enough of its 255
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no file on Windows can be called so

# {option: {task glob: {value as it stands in a model's name: the value that the builder gets}}}, the default first.
Options = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """What one `register(...)` says, checked, and where it stands. A name may have several, each for tasks of its own.

    `source`: nothing for a built-in model, else the SHA-256 of the code that registers it; `plugin`: the plugin's file, if any.
    `file`: where the code stands, as Python calls it; of a notebook's cell under this name its text can be had (linecache).
    """

    name: str
    tasks: tuple[str, ...]
    paper: str
    options: Options
    origin: str
    module: str
    source: str = ""
    plugin: str = ""
    file: str = ""
    builder: Callable[..., nn.Module] | None = field(default=None, repr=False)  # none before `register` has decorated one

    def supports(self, task: str) -> bool:
        """Whether the model has a network for this task."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)

    @property
    def known_tasks(self) -> list[str]:
        """The tasks that it has a network for."""
        return [task for task in TASKS if self.supports(task)]

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


def checked(
    name: object, tasks: object = (), paper: object = "", options: object = None, *, origin: str, module: str = ""
) -> ModelInfo:
    """The arguments of `register`, which may be anything, checked. Raises ModelError: in one line what is allowed."""
    if not isinstance(name, str):
        raise ModelError(f"{origin}: register was given {shown(name)} where a model's name belongs; {FORM}")
    where = f"model name {shown(name)} ({origin})"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not _is_file_name(name):
        raise ModelError(
            f"{where}: use letters, digits, '.', '_' and '-' only, a letter or digit first, no '..', no '.' at the end, and no "
            "name that Windows reserves"
        )
    if paper is not None and not isinstance(paper, str):
        raise ModelError(f'{where}: paper={shown(paper)} is no text; write paper="You, 2027"')
    globs = _tasks(where, tasks)
    found = _options(where, options, [task for task in TASKS if any(fnmatchcase(task, glob) for glob in globs)])
    values = [option + "=" + max((text for by in found[option].values() for text in by), key=len) for option in found]
    longest = "@".join(filter(None, [name, ",".join(values)]))
    if len(longest) > LONGEST:
        raise ModelError(
            f"{where}: with its longest options it has {len(longest)} characters, at most {LONGEST} are allowed; shorten it"
        )
    text = "".join(sign for sign in " ".join((paper or "").split()) if sign.isprintable())
    return ModelInfo(name, globs, text, found, origin, module)


def _is_file_name(text: str) -> bool:
    return ".." not in text and not text.endswith(".") and not RESERVED.fullmatch(text)


def _tasks(where: str, given: object) -> tuple[str, ...]:
    globs: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if isinstance(given, set | frozenset):
        globs.sort(key=str)
    for glob in globs:
        if not isinstance(glob, str) or not any(fnmatchcase(task, glob) for task in TASKS):
            near = suggestion(glob, TASKS) if isinstance(glob, str) else ""
            raise ModelError(f"{where}: tasks={shown(glob)} is no task{near}; tasks: {', '.join(TASKS)}; {FORM}")
    if not globs:
        raise ModelError(f"{where}: it is for no task; tasks: {', '.join(TASKS)}; {FORM}")
    return tuple(globs)


def _options(where: str, given: object, tasks: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
    if given is not None and not isinstance(given, Mapping):
        raise ModelError(f"{where}: options={shown(given)} is no dictionary; {OPTIONS_FORM}")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for option, by_task in (given or {}).items():
        if not isinstance(option, str) or not re.fullmatch(r"[A-Za-z_]\w*", option, re.ASCII) or iskeyword(option):
            raise ModelError(
                f"{where}: option {shown(option)} must be a Python name in ASCII: it is an argument of the builder"
            )
        if option.casefold() in {"task", *(name.casefold() for name in found)}:
            raise ModelError(f"{where}: option {option!r} is taken, whatever its capitals; give it another name")
        values = by_task if isinstance(by_task, Mapping) else {"*": by_task}
        found[option] = {glob: _values(f"{where}: option {option!r}", part) for glob, part in values.items()}
        _check_globs(f"{where}: option {option!r}", values, tasks)
    return found


def _check_globs(where: str, globs: Iterable[object], tasks: Iterable[str]) -> None:
    """That every glob is for a task of the model's, and no task has two lists of values."""
    of_tasks = {task: [glob for glob in globs if isinstance(glob, str) and fnmatchcase(task, glob)] for task in tasks}
    for glob in globs:
        if not any(glob in matching for matching in of_tasks.values()):
            raise ModelError(f"{where}: {shown(glob)} is none of the model's tasks ({', '.join(of_tasks)}); {OPTIONS_FORM}")
    for task, matching in of_tasks.items():
        if len(matching) > 1:
            raise ModelError(f"{where}: {' and '.join(map(repr, matching))} are both for {task}; {OPTIONS_FORM}")
    if not any(of_tasks.values()):
        raise ModelError(f"{where} has no values; {OPTIONS_FORM}")


def _values(where: str, given: object) -> dict[str, Any]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ModelError(f"{where}: {shown(given)} is no list of values; {OPTIONS_FORM}")
    found: dict[str, Any] = {}
    for value in given:
        text = str(value) if isinstance(value, str | Real) else ""
        if not re.fullmatch(r"[A-Za-z0-9._+-]+", text) or ".." in text or text.endswith("."):
            raise ModelError(
                f"{where}: the value {shown(value)} must be a number or a text of letters, digits, '.', '_', '+' and '-', "
                "without '..' and no '.' at the end, for it becomes a part of file names"
            )
        if text.casefold() in {known.casefold() for known in found}:
            raise ModelError(f"{where}: the value {shown(value)} is there twice, whatever its capitals; give each once")
        found[text] = value
    if not found:
        raise ModelError(f"{where}: {shown(given)} holds no value; {OPTIONS_FORM}")
    return found


def check_builder(model: ModelInfo, builder: object) -> None:
    """That it can be called as `builder(task, **options)`. Raises ModelError: it cannot."""
    where = f"model {model.name!r} ({model.origin})"
    torch = sys.modules.get("torch")  # imported, if there is a network at all
    if torch is not None and isinstance(builder, torch.nn.Module):
        raise ModelError(f"{where}: a network was registered, not what builds it; {FORM}")
    if not callable(builder):
        raise ModelError(f"{where}: {shown(builder)} cannot be called; {FORM}")
    try:
        signature = inspect.signature(builder, follow_wrapped=False)
    except (TypeError, ValueError):  # Python cannot tell, as of something written in C
        return
    for task in model.known_tasks:
        options = model.values(task)
        try:
            signature.bind(task, **dict.fromkeys(options))
        except TypeError as error:
            call = ", ".join(["task", *(f"{option}=..." for option in options)])
            raise ModelError(f"{where}: its builder cannot be called as builder({call}): {error}; {FORM}") from None
