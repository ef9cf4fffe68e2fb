"""Beyond one number: error by digit size, error on sizes never trained on, and equivariance error, as folded tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from statistics import mean
from typing import Literal, TypeVar

from leaderboard.board import markup
from leaderboard.board.markup import NOTHING, code, escape
from leaderboard.board.tables import error_by_scale
from leaderboard.reading.collection import Collection
from leaderboard.records.equivariance import Equivariance, LayerError
from leaderboard.records.runs import RunResult
from leaderboard.records.scale_sweep import ScaleSweep

T = TypeVar("T")
Fold = tuple[str, str, list[str]]  # the task, the line that unfolds a table, and the table

_HEADING = """\
## Beyond one number

Where the errors lie, what happens outside the range of sizes trained on, and how far the networks are from scale and
translation equivariance (docs/equivariance.md). Under the line of a table: the means over n runs or sets of weights."""


def render(shown: Collection) -> list[str]:
    """The lines of the board's section, task by task; none where there is nothing to show."""
    runs = [run for run in shown.runs if len(run.error_by_scale) > 1 and not run.smoke]  # of a few hundred images
    folds = [*_by_size(runs), *_outside(shown.scale_sweeps), *_equivariance(shown.equivariance)]
    lines = [_HEADING, ""] if folds else []
    for task, its_folds in groupby(sorted(folds, key=itemgetter(0)), key=itemgetter(0)):  # sorting keeps the order in a task
        lines += [f"### {task}", ""]
        for _, summary, table in its_folds:
            lines += markup.folded(summary, table)
    return lines


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Items of equal keys together, in the order of the keys' text."""
    groups: defaultdict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return [groups[name] for name in sorted(groups, key=repr)]


def _by_size(runs: Iterable[RunResult]) -> Iterator[Fold]:
    """Test error by the digits' scale factor, over all test images of a model's runs."""
    for group in _grouped(runs, lambda run: (run.task, run.protocol, run.protocol_digest, run.data_variant)):
        first, rows, bins = group[0], [], error_by_scale(group)
        for same in _grouped(group, lambda run: run.model):
            found = error_by_scale(same)
            counts = [found.get(bounds, (0, 0)) for bounds in bins]
            cells = [f"{100 * wrong / count:.2f}" if count else NOTHING for count, wrong in counts]
            rows.append([code(same[0].model), str(len(same)), *cells])
        names = [f"{low:g}–{high:g}" for low, high in bins]
        lines = ["Test error %, by the factor that a test digit was drawn at.", ""]
        lines += markup.table(["Model", "n", *names], rows, ["n", *names])
        what = (
            f"Error by digit size: protocol {code(first.protocol)} ({code(first.protocol_digest)}), {code(first.data_variant)}"
        )
        yield first.task, what, lines


def _outside(tested: Iterable[ScaleSweep]) -> Iterator[Fold]:
    """Test error when every digit is drawn at one factor."""
    for group in _grouped(tested, lambda m: (m.task, m.protocol, m.protocol_digest, m.trained_range)):
        first, rows = group[0], []
        factors = sorted({at.factor for measured in group for at in measured.factors})
        for same in _grouped(group, lambda m: (m.model, m.own_sizes_count)):
            cells = []
            for factor in factors:
                found = [at.error for measured in same for at in measured.factors if at.factor == factor]
                cells.append(f"{mean(found):.2f}" if found else NOTHING)
            own = mean(100 * measured.own_sizes_wrong / measured.own_sizes_count for measured in same)
            rows.append([code(same[0].model), str(len(same)), f"{same[0].own_sizes_count:,}", f"{own:.2f}", *cells])
        low, high = first.trained_range
        names = [f"{factor:g}" for factor in factors]
        header = ["Model", "n", "Digits", "Own sizes", *names]
        lines = [
            f"Test error % with all test digits at one factor; the training digits lie between {low:g} and {high:g} "
            "(in '+' tasks before augmentation). 'Own sizes': each digit at the test split's own factor.",
            "",
            *markup.table(header, rows, header[1:]),
        ]
        what = f"Outside the training range: protocol {code(first.protocol)} ({code(first.protocol_digest)})"
        yield first.task, what, lines


def _equivariance(errors: Iterable[Equivariance]) -> Iterator[Fold]:
    """Scale and translation errors by layer, never averaged over different settings."""
    for group in _grouped(errors, lambda m: (m.task, m.state, m.protocol or "", *_settings(m))):
        first = group[0]
        names = list(dict.fromkeys(layer.name for m in group for layer in (*m.layers, m.network)))
        names.sort(key=lambda name: name == first.network.name)  # the logits last
        header = ["Model", "n", *names]
        models = _grouped(group, lambda m: m.model)
        smaller, larger = ([f"{f:.3g}" for f in first.factors if (f < 1) == below] for below in (True, False))
        lines = [
            f"Squared relative error: mean over the factors {', '.join(smaller)} / over {', '.join(larger)}. "
            f"0 is exact; 1 is as much as the response itself. 'image': the resampling alone. {_described(first)}",
            "",
            *markup.table(header, [_cells(same, names, _scale) for same in models], header[1:]),
            "",
            f"The same for a shift of the image by {first.shift} pixels down and right.",
            "",
            *markup.table(header, [_cells(same, names, _shift) for same in models], header[1:]),
        ]
        when = "at initialisation" if first.state == "initialisation" else f"after training under {code(first.protocol)}"
        yield first.task, f"Equivariance error {when}", lines


def _settings(m: Equivariance) -> tuple[Hashable, ...]:
    seen = (m.image_count, m.canvas, m.interior, m.shift)
    return (*seen, tuple(m.factors), m.reference_scale, m.resampling)


def _described(m: Equivariance) -> str:
    return (
        f"{m.image_count} images at {m.reference_scale:g} of their size on a canvas of {m.canvas} pixels; compared in its "
        f"central {m.interior} pixels; the logits on the task's own image size. Resampling: {escape(m.resampling)}."
    )


def _cells(
    same: Sequence[Equivariance], names: Sequence[str], text: Callable[[list[tuple[Equivariance, LayerError]]], str]
) -> list[str]:
    cells = [code(same[0].model), str(len(same))]
    for name in names:
        found = [(m, layer) for m in same for layer in (*m.layers, m.network) if layer.name == name]
        cells.append(text(found) if found else NOTHING)
    return cells


def _scale(found: list[tuple[Equivariance, LayerError]]) -> str:
    directions: tuple[Literal["shrink", "enlarge"], ...] = ("shrink", "enlarge")
    means = [[m.mean(layer, direction) for m, layer in found] for direction in directions]
    return " / ".join(f"{mean(known):.3f}" if (known := [v for v in values if v is not None]) else NOTHING for values in means)


def _shift(found: list[tuple[Equivariance, LayerError]]) -> str:
    value = mean(layer.translation for _, layer in found)
    return "0" if value == 0 else f"{value:.0e}" if value < 0.0005 else f"{value:.3f}"
