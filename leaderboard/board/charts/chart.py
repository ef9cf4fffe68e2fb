"""What a figure shows, in plain numbers; figures.py draws it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ChartKind = Literal["pareto", "lines", "dots"]
# Seaborn's colorblind palette; a model keeps its colour within a table's charts.
COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
OTHERS = "#bbbbbb"
MOST: dict[ChartKind, int] = {"pareto": 200, "lines": 20, "dots": 30}  # models in one chart; beyond, nobody can read it


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


@dataclass(frozen=True)
class Chart:
    """``pareto``: points, the Pareto-optimal ones in group "pareto". ``lines``: one line per model. ``dots``: one row per
    model, from best to worst, x and its bar along the row. ``span``: a range of x to be shaded. ``note`` stands below.
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

    @property
    def models(self) -> list[str]:
        """In the order of their first marks."""
        return list(dict.fromkeys(mark.model for mark in self.marks))


def colour(models: Sequence[str], model: str) -> str:
    """The colour of one of ``models`` (those of a table); the same for every tenth."""
    return COLOURS[models.index(model) % len(COLOURS)] if model in models else OTHERS


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
