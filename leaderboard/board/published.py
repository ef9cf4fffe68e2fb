"""Published errors, to stand beside the measured ones or in lists of their own. published.yaml: where each was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from leaderboard.board import markup
from leaderboard.errors import RecordError, one_line

PublishedKind = Literal["paper", "reproduction-as-published", "reproduction-split", "other"]
Words = Annotated[str, Field(pattern=r"^\S(.*\S)?$")]

_LABELS: dict[PublishedKind, str] = {
    "paper": "the paper",
    "reproduction-as-published": "a reproduction as published, which pools plain and + runs by mistake",
    "reproduction-split": "a reproduction's raw runs, split into plain and + here",
    "other": "another source",
}
_REPRODUCTION = (
    "TU Delft: a student reproduction (Lukacs and Petrescu). Its table pools the runs with and without '+' of each model by "
    "mistake (as printed); the second number is from its list of raw runs, with the two apart (split)."
)
_UNCHECKED = "† not verified: this number was quoted from memory and not read in a second, independent source."

_NOT_MEASURED = (
    "Published on these tasks, not measured here",
    "Numbers of others for the tasks of this board that stand in no table of it: of methods that have no records yet, or that "
    "are not part of the suite. Settings, training and selection are those of the source.",
)
_ELSEWHERE = (
    "Published elsewhere: other data or protocols",
    "On other data, or on data of the same kind under another protocol. They compare with nothing in the tables of this board, "
    "and with one another only where data set and setting are the same. '(ours)' is the word of the numbers' authors.",
)


class PublishedResult(BaseModel):
    """One published number: error in percent, trainable parameters, and the board's task and model where it has them.

    ``verified`` is false for a number quoted from memory only, not read in a second, independent source. Without a ``task`` the
    number is from other data than the board's, or under another protocol; it stands in no table of ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset: Words
    setting: Words
    method: Words
    error_mean: float = Field(gt=0, lt=100)
    error_std: float | None = Field(ge=0, lt=100)
    params: int | None = Field(gt=0)
    source: Words
    verified: bool
    params_verified: bool
    task: Words | None = None
    model: Words | None = None
    kind: PublishedKind

    @model_validator(mode="after")
    def _names_agree(self) -> PublishedResult:
        if self.model and not self.task:
            raise ValueError("a model without a task: name the board's task, or leave both out")
        if self.kind != "other" and not self.model:
            raise ValueError(f"kind {self.kind} without task and model of the board: name both, or use kind other")
        if self.params_verified and self.params is None:
            raise ValueError("params_verified without params")
        return self

    @property
    def text(self) -> str:
        """Mean and spread with the digits that were published, at least two, and a dagger where quoted from memory only."""
        finer = any(value is not None and round(value, 2) != value for value in (self.error_mean, self.error_std))
        return markup.mean_std(self.error_mean, self.error_std, 3 if finer else 2) + ("" if self.verified else " †")

    @property
    def label(self) -> str:
        """What kind of number this is, in words for a reader of the board."""
        return _LABELS[self.kind]

    @property
    def origin(self) -> str:
        """What kind of number it is, and the source."""
        return f"{self.label}: {self.source}"


@dataclass(frozen=True)
class PublishedList:
    """The numbers for one task of ours, or for one data set elsewhere, by ``setting``: only those of one setting compare."""

    name: str
    task: str | None
    settings: tuple[tuple[str, tuple[PublishedResult, ...]], ...]

    @property
    def results(self) -> list[PublishedResult]:
        """All of them, in the order they are shown in."""
        return [result for _, results in self.settings for result in results]

    @property
    def sources(self) -> list[str]:
        """Where they were read, in the order of first mention."""
        return list(dict.fromkeys(result.source for result in self.results))


@dataclass(frozen=True)
class PublishedPart:
    """Lists of published numbers under one heading."""

    title: str
    explanation: str
    lists: Sequence[PublishedList]


def parse_published(text: str) -> tuple[PublishedResult, ...]:
    """The entries of a file like published.yaml. Raises RecordError, in one line: the entry and what is wrong with it."""
    try:
        content = yaml.safe_load(text)
        results = tuple(TypeAdapter(list[PublishedResult]).validate_python(content))
    except yaml.YAMLError as error:
        raise RecordError(f"published numbers: not valid YAML: {one_line(error)}") from None
    except ValidationError as error:
        raise RecordError(_problem(content, error)) from None
    _check_unique(results, lambda r: (r.dataset, r.setting, r.method, r.kind))
    # A row has one published number; a reproduction's stand beside it.
    _check_unique(
        [r for r in results if r.model], lambda r: (r.task, r.model, "number" if r.kind in ("paper", "other") else r.kind)
    )
    return results


def _problem(content: Any, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if not first["loc"]:
        return "published numbers: give a list of entries, each beginning '- dataset:'"
    number, *field = first["loc"]
    entry = content[number]
    name = f" ({entry.get('method')}, {entry.get('setting')})" if isinstance(entry, dict) else ""
    where = "".join(f" {part}:" for part in field)
    return one_line(f"published numbers, entry {int(number) + 1}{name}:{where} {first['msg'].removeprefix('Value error, ')}")


def _check_unique(results: Sequence[PublishedResult], key: Callable[[PublishedResult], tuple[str | None, ...]]) -> None:
    seen = set()
    for result in results:
        if key(result) in seen:
            raise RecordError(f"published numbers: {one_line(', '.join(map(str, key(result))))} stands twice; keep one entry")
        seen.add(key(result))


@cache
def _all() -> tuple[PublishedResult, ...]:
    return parse_published(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))


def load_published() -> list[PublishedResult]:
    """Every published number, in the file's order."""
    return list(_all())


def find(task: str, model: str, kind: PublishedKind = "paper") -> PublishedResult | None:
    """The published number of that kind for a row of the board, or None. Names match exactly, options included."""
    return next((p for p in _all() if (p.task, p.model, p.kind) == (task, model, kind)), None)


def published_parts(shown: Iterable[PublishedResult]) -> list[PublishedPart]:
    """All numbers but those ``shown`` in rows of the board: those of our tasks, then those that belong to none of them."""
    known = set(shown)
    rest = [p for p in _all() if p not in known]
    parts = (
        PublishedPart(*_NOT_MEASURED, _lists([p for p in rest if p.task], lambda p: p.task or "")),
        PublishedPart(*_ELSEWHERE, _lists([p for p in rest if not p.task], lambda p: p.dataset)),
    )
    return [part for part in parts if part.lists]


def _lists(results: Sequence[PublishedResult], name: Callable[[PublishedResult], str]) -> list[PublishedList]:
    """By name, then setting in the file's order, then error and method."""
    settings = list(dict.fromkeys(result.setting for result in results))
    ordered = sorted(results, key=lambda r: (name(r), settings.index(r.setting), r.error_mean, r.method))
    return [
        PublishedList(title, its[0].task, tuple((s, tuple(group)) for s, group in groupby(its, lambda r: r.setting)))
        for title, grouped in groupby(ordered, name)
        for its in [list(grouped)]
    ]


def footnotes(results: Sequence[PublishedResult]) -> list[str]:
    """The lines that explain the marks and columns that these numbers need."""
    unchecked = any(not result.verified for result in results)
    reproduced = any(result.kind.startswith("reproduction") for result in results)
    return [line for line, needed in ((_UNCHECKED, unchecked), (_REPRODUCTION, reproduced)) if needed]
