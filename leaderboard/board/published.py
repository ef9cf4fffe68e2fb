"""Published errors, to stand beside the measured ones. The numbers and where each was read: published.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

PublishedKind = Literal["paper", "reproduction-as-published", "reproduction-split", "other"]

_LABELS: dict[PublishedKind, str] = {
    "paper": "the paper",
    "reproduction-as-published": "a reproduction as published, which pools plain and + runs by mistake",
    "reproduction-split": "a reproduction's raw runs, split into plain and + here",
    "other": "another paper",
}
_REPRODUCTION = (
    "TU Delft: a student reproduction (Lukacs and Petrescu). Its table pools the runs with and without '+' of each model by "
    "mistake (as printed); the second number is from its list of raw runs, with the two apart (split)."
)
_UNCHECKED = "† not verified: this number was quoted from memory and not read in a second, independent source."


class PublishedResult(BaseModel):
    """One published number: error in percent, trainable parameters, and the board's task and model where it has them.

    ``verified`` is false for a number quoted from memory only, not read in a second, independent source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    setting: str
    method: str
    error_mean: float
    error_std: float | None
    params: int | None
    source: str
    verified: bool
    params_verified: bool
    task: str | None = None
    model: str | None = None
    kind: PublishedKind

    @property
    def label(self) -> str:
        """What kind of number this is, in words for a reader of the board."""
        return _LABELS[self.kind]

    @property
    def origin(self) -> str:
        """What kind of number it is, and the source."""
        return f"{self.label}: {self.source}"


@cache
def _all() -> tuple[PublishedResult, ...]:
    text = Path(__file__).with_name("published.yaml").read_text(encoding="utf-8")
    return tuple(TypeAdapter(list[PublishedResult]).validate_python(yaml.safe_load(text)))


def load_published() -> list[PublishedResult]:
    """Every published number, in the file's order."""
    return list(_all())


def find(task: str, model: str, kind: PublishedKind = "paper") -> PublishedResult | None:
    """The published number of that kind for a row of the board, or None. Names match exactly, options included."""
    return next((p for p in _all() if (p.task, p.model, p.kind) == (task, model, kind)), None)


def footnotes(results: Sequence[PublishedResult]) -> list[str]:
    """The lines that explain the marks and columns that these numbers need."""
    unchecked = any(not result.verified for result in results)
    reproduced = any(result.kind.startswith("reproduction") for result in results)
    return [line for line, needed in ((_UNCHECKED, unchecked), (_REPRODUCTION, reproduced)) if needed]
