"""Equivariance by layer beside the plain network's and SESN's, on the same pictures, as one table and one verdict."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import datasets
from bench.checking.finding import Finding, listed
from bench.checking.subject import Subject
from bench.measure.equivariance import Errors, measure
from bench.measure.probe_images import PROBED_FACTORS
from leaderboard.records.equivariance import LayerError

PLAIN = "cnn"
EXACT = 1e-2  # of a layer's response: a shift by whole pixels changes those of the networks that shift exactly by far less
HOW = "docs/equivariance.md says which layers are seen, and how a network names its own: compared_layers()"


def references(task: str) -> list[str]:
    """The networks that stand beside one on a task: the plain one, and SESN's."""
    return [PLAIN, "sesn-vector" if datasets.has_scales(task) else "sesn-b"]


def errors_of(model: str, task: str) -> Errors:
    """A network's errors at initialisation, on a few pictures. Raises BenchError, and whatever the model may raise."""
    subject = Subject(model, task)
    return measure(subject.build(), subject.pictures)


def compared(own: Errors, others: Mapping[str, Errors], name: str, pictures: str) -> Finding:
    """The table of a network's errors and the others', and whether it is nearer to equivariance than the plain network."""
    table = [f"On {pictures}: squared relative error, factors below 1 / above 1", *_table({name: own, **others})]
    more, numbers = [*table, *own.notes], _numbers(own, others)
    layers = own.layers[1:]
    if not layers:
        return Finding("look", "no layer is seen, the logits alone are compared", HOW, more, numbers)
    plain = others[PLAIN].layers[1:]
    ratios = [_mean(layer) / max(_mean(plain[min(k, len(plain) - 1)]), 1e-12) for k, layer in enumerate(layers)]
    text = f"{len(layers)} layers have {min(ratios):.2f} to {max(ratios):.2f} times {PLAIN}'s error under scaling"
    moved = [layer.name for layer in layers[:2] if layer.translation > EXACT]  # later ones see the border of the canvas
    if moved:
        text += f"; a shift by whole pixels changes {listed(moved)}"
        return Finding("look", text, "translation is lost: positions, resampling or uneven padding?", more, numbers)
    if max(ratios) >= 1:
        return Finding("look", text, f"not every layer is nearer to scale equivariance than {PLAIN}'s", more, numbers)
    return Finding("pass", text, more=more, numbers=numbers)


def _mean(layer: LayerError) -> float:
    return statistics.fmean(layer.scale)


def _table(rows: Mapping[str, Errors]) -> list[str]:
    """A line for each network, a column for each layer; then a line on the shift for the first of them."""
    width, most = max(map(len, rows)), max(rows.values(), key=lambda errors: len(errors.layers))
    names = [layer.name for layer in [*most.layers, most.network]]
    columns = [max(len(_short(name)), 9) for name in names]

    def line(head: str, cells: Sequence[str]) -> str:
        return "  ".join([head.ljust(width), *(cell.rjust(size) for cell, size in zip(cells, columns, strict=True))]).rstrip()

    def cells(errors: Errors, shown: Sequence[str]) -> list[str]:
        return [*shown[:-1], *["-"] * (len(names) - len(shown)), shown[-1]]

    lines = [line("", [_short(name) for name in names])]
    for name, errors in rows.items():
        lines.append(line(name, cells(errors, [_pair(layer) for layer in [*errors.layers, errors.network]])))
    own = next(iter(rows.values()))
    moved = [f"{layer.translation:.0e}" for layer in [*own.layers, own.network]]
    return [*lines, line("shift", cells(own, moved))]


def _short(name: str) -> str:
    return name.replace("first convolution", "first")


def _pair(layer: LayerError) -> str:
    """Mean over factors that shrink, and over those that enlarge."""
    shrink = [error for factor, error in zip(PROBED_FACTORS, layer.scale, strict=True) if factor < 1]
    enlarge = [error for factor, error in zip(PROBED_FACTORS, layer.scale, strict=True) if factor > 1]
    return f"{statistics.fmean(shrink):.2f}/{statistics.fmean(enlarge):.2f}"


def _numbers(own: Errors, others: Mapping[str, Errors]) -> dict[str, object]:
    def plain(errors: Errors) -> list[dict[str, object]]:
        return [layer.model_dump() for layer in [*errors.layers, errors.network]]

    return {"factors": list(PROBED_FACTORS), "own": plain(own), **{name: plain(errors) for name, errors in others.items()}}
