"""Charts of what was measured beside runs: equivariance error of each model, and error beyond the training range."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from leaderboard.board.charts.chart import Chart, Mark, digits, limited, mean
from leaderboard.reading.collection import Collection
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.scale_sweep import ScaleSweep

_LOOKS = (0, 2, 3, 1)  # of states, those that are told apart best first


@dataclass(frozen=True)
class ChartGroup:
    """Charts of one task that belong together; ``setting`` says under which conditions, ``name`` is unique to them."""

    name: str
    task: str
    title: str
    setting: str
    charts: tuple[Chart, ...]


def chart_groups(shown: Collection) -> list[ChartGroup]:
    """Equivariance first; only what was measured in the same way shares a chart."""
    return [*_equivariance(shown.equivariance), *_scale_sweeps(shown.scale_sweeps)]


def _equivariance(items: Iterable[Equivariance]) -> Iterator[ChartGroup]:
    groups: defaultdict[tuple[str, str], list[Equivariance]] = defaultdict(list)
    for item in items:
        factors = ", ".join(f"{factor:.3g}" for factor in item.factors)
        setting = (
            f"Logits of {item.image_count} images ({item.images}) scaled by {factors} from {item.reference_scale:g} of their "
            f"own size, or shifted by {item.shift} pixels; resampling: {item.resampling}. Mean over the factors of the squared "
            "difference, as a fraction of the squared response; bars run from the smallest to the largest measurement."
        )
        groups[item.task, setting].append(item)
    for (task, setting), its in sorted(groups.items()):
        charts = tuple(replace(chart, subtitle=task) for chart in _both(its))
        yield ChartGroup(f"equivariance-{task}", task, "Equivariance error", setting, charts)


def _both(items: list[Equivariance]) -> tuple[Chart, ...]:
    scale = [(item, item.mean(item.network, "both")) for item in items]
    shift = [(item, item.network.translation) for item in items]
    label = "fraction of the response"
    return (
        _dots("equivariance", "Scale equivariance error", f"Error under scaling, {label}", scale),
        _dots("translation", "Translation equivariance error", f"Error under a shift, {label}", shift),
    )


def _dots(name: str, title: str, label: str, values: Sequence[tuple[Equivariance, float | None]]) -> Chart:
    states: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for item, value in values:
        if value is not None:
            states[item.model, f"trained ({item.protocol})" if item.protocol else "at initialisation"].append(value)
    best: dict[str, float] = {}
    for (model, _), found in sorted(states.items()):
        best.setdefault(model, mean(found))  # "at initialisation" comes first, and gives the order where there is one
    shown, note = limited("dots", sorted(best, key=lambda model: (best[model], model)))
    marks = []
    looks = {state: _LOOKS[place % len(_LOOKS)] for place, state in enumerate(sorted({state for _, state in states}))}
    for (model, state), found in sorted(states.items()):
        if model in shown:
            says = f"{model}, {state}: {mean(found):.3g} (n = {len(found)})"
            low, high = (digits(min(found)), digits(max(found))) if len(found) > 1 else (None, None)
            marks.append(Mark(model, mean(found), shown.index(model), says, low, high, state, looks[state]))
    marks.sort(key=lambda mark: (mark.y, mark.group))
    return Chart(name, "dots", title, label, "", tuple(marks), note=note)


def _scale_sweeps(items: Iterable[ScaleSweep]) -> Iterator[ChartGroup]:
    groups: defaultdict[tuple[str, str, str, tuple[float, float]], list[ScaleSweep]] = defaultdict(list)
    for item in items:
        groups[item.task, item.protocol, item.protocol_digest, item.trained_range].append(item)
    for (task, protocol, digest, span), its in sorted(groups.items()):
        setting = (
            f"Weights of protocol {protocol} (recipe {digest}), tested on all test digits drawn at one scale factor; mean over "
            f"realizations. The training digits lie within {span[0]:g} to {span[1]:g} (shaded)."
        )
        name = f"generalisation-{protocol}-{task}"
        chart = replace(_beyond(its, span), subtitle=f"{task}, protocol {protocol}")
        yield ChartGroup(name, task, "Error beyond the training range", setting, (chart,))


def _beyond(items: list[ScaleSweep], span: tuple[float, float]) -> Chart:
    errors: defaultdict[str, defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        for at in item.factors:
            errors[item.model][at.factor].append(at.error)
    every = {model: mean(e for values in by_factor.values() for e in values) for model, by_factor in errors.items()}
    shown, note = limited("lines", sorted(every, key=lambda model: (every[model], model)))
    marks = [
        Mark(model, digits(factor), mean(values), f"{model} at scale {factor:g}: {mean(values):.2f} % (n = {len(values)})")
        for model in shown
        for factor, values in sorted(errors[model].items())
    ]
    label = "Scale factor of all test digits"
    title = "Error beyond the training range"
    return Chart("generalisation", "lines", title, label, "Test error, %", tuple(marks), log_x=True, span=span, note=note)
