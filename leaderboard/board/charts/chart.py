"""What a figure shows, in plain numbers; figures.py draws it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ChartKind = Literal["front", "lines", "dots"]
INK, SOFT, ACCENT, FAINT = "#1d2430", "#6b7480", "#0b5cad", "#d5d9de"
# Dark enough for thin lines on white, apart for the colour-blind (P. Tol's "muted", its light ones left out); then again.
COLOURS = ("#0b5cad", "#cc6677", "#117733", "#882255", "#999933", "#44aa99", "#332288", "#aa4499", "#b8860b", "#6b7480")
FEWEST = 3  # models: of fewer a table says all
MOST: dict[ChartKind, int] = {"front": 20, "lines": 20, "dots": 30}  # models in one chart; beyond, nobody can read it


@dataclass(frozen=True)
class Mark:
    """One point; ``low`` to ``high`` is a bar through it, ``group`` what its look says, ``tooltip`` a reader's words for it."""

    model: str
    x: float
    y: float
    tooltip: str
    low: float | None = None
    high: float | None = None
    group: str = ""
    look: int = 0


@dataclass(frozen=True)
class Chart:
    """``front``: points with their models' names, those that no other beats in group "front". ``lines``: one line per model.
    ``dots``: one row per model, from best to worst, x and its bar along the row, y the row; a legend of the groups.

    ``subtitle``: of which task and protocol. ``span``: a range of x to be shaded. ``note``: what is left out. ``asides``:
    columns of words beside the rows, each a heading and a text for each model.
    """

    name: str
    kind: ChartKind
    title: str
    x_label: str
    y_label: str
    marks: tuple[Mark, ...]
    log_x: bool = False
    span: tuple[float, float] | None = None
    note: str = ""
    asides: tuple[tuple[str, tuple[str, ...]], ...] = ()
    subtitle: str = ""

    @property
    def models(self) -> list[str]:
        """In the order of their first marks."""
        return list(dict.fromkeys(mark.model for mark in self.marks))

    @property
    def worth_drawing(self) -> bool:
        """Whether it shows more than a glance at a table."""
        return len(self.models) >= FEWEST


def colour(models: Sequence[str], model: str) -> str:
    """The colour of one of ``models``; the same for every tenth."""
    return COLOURS[sorted(models).index(model) % len(COLOURS)]


def digits(value: float) -> float:
    """Six significant digits: enough to draw, and the same on every machine."""
    return float(f"{value:.6g}")


def limited(kind: ChartKind, models: Sequence[str]) -> tuple[list[str], str]:
    """The first of ``models`` (best first), as many as such a chart shows, and a note when some are left out."""
    most = MOST[kind]
    return list(models[:most]), f"the best {most} of {len(models)} models" if len(models) > most else ""


def mean(values: Iterable[float]) -> float:
    """The exact mean, to six digits."""
    return digits(statistics.mean(values))
