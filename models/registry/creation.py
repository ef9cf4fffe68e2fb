"""From a model's name to its network.

A name may carry options, `sesn-scalar@config=28p`; `canonical_name` drops those that are the task's default, so that one
network has one name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, get_args, get_origin, get_type_hints

from models.errors import ModelError, shown, suggestion
from models.registry.catalogue import info
from models.registry.plugins import use_folder
from models.registry.registration import ModelInfo

if TYPE_CHECKING:
    from torch import nn


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
        if chosen.setdefault(option, value) != value:
            raise ModelError(f"model {name!r}: option {option!r} is {chosen[option]!r} and {value!r}; give it once")
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

    Raises ModelError: unknown model, task, option or override (one line that says what is allowed), or its builder returns
    something else than a network; and whatever the builder may raise.
    """
    model = info(name, task)
    values, chosen = model.values(task), _options(name, task)
    named = {option: by_text[chosen.get(option, next(iter(by_text)))] for option, by_text in values.items()}
    if model.plugin:
        use_folder(Path(model.plugin).parent)
    builder = _builder(model)
    accepted = _overrides(builder)
    for override in overrides:
        if accepted is not None and override not in accepted:
            raise ModelError(
                f"model {model.name!r} takes no {override!r}{suggestion(override, accepted)}; "
                f"it takes: {', '.join(accepted) or 'nothing'}"
            )
    network = builder(task, **{**named, **overrides})
    from torch import nn

    if not isinstance(network, nn.Module):
        raise ModelError(f"model {model.name!r} ({model.origin}): its builder returned {shown(network)} and no torch.nn.Module")
    return network


def overrides(name: str, task: str) -> list[str] | None:
    """The names of a builder's arguments besides the task; None: whatever it is given. Raises ModelError."""
    return _overrides(_builder(info(name, task)))


def _builder(model: ModelInfo) -> Callable[..., nn.Module]:
    assert model.builder is not None  # whatever is in the catalogue was decorated with it
    return model.builder


def _overrides(builder: Callable[..., nn.Module]) -> list[str] | None:
    """The names of a builder's arguments besides the task; for `**size: Unpack[Size]` the keys of the TypedDict.

    None: the builder takes whatever it is given, by a `**size` that says no more, or Python cannot tell.
    """
    try:
        parameters = list(_signature(builder).parameters.values())
    except (TypeError, ValueError):  # something written in C
        return None
    names: list[str] = []
    for parameter in parameters[1:]:  # the first is the task
        if parameter.kind is parameter.VAR_KEYWORD:
            if get_origin(parameter.annotation) is not Unpack:
                return None
            names += get_type_hints(get_args(parameter.annotation)[0])
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            names.append(parameter.name)
    return names


def _signature(builder: Callable[..., Any]) -> inspect.Signature:
    """With what annotations mean, where that can be told: they may name what is imported for type checkers alone."""
    try:
        return inspect.signature(builder, follow_wrapped=False, eval_str=True)
    except (TypeError, ValueError):
        raise
    except Exception:
        return inspect.signature(builder, follow_wrapped=False)
