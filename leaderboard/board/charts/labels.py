"""Where names stand in a chart so that none lies on another: beside the ends of lines, or beside points."""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = sorted(range(-8, 9), key=lambda step: (abs(step), step))  # up and down, in half lines
Box = tuple[float, float, float, float]  # left, bottom, right, top


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places from ``low`` to ``high`` at least ``gap`` apart, in the order of the ``wanted`` ones and as near as can be.

    Least squares: names that are too close form a block about their mean. Too many for the room go beyond ``high``.
    """
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], index))
    blocks: list[list[float]] = []  # what each name would want were the gaps taken out
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    bases = [_mean(block) for block in blocks for _ in block]
    top = max(low, high - gap * (len(order) - 1))
    places = {index: min(max(base, low), top) + rank * gap for rank, (index, base) in enumerate(zip(order, bases, strict=True))}
    return [places[index] for index in range(len(wanted))]


def beside(
    points: Sequence[tuple[float, float]], widths: Sequence[float], height: float, room: Box
) -> list[tuple[float, float]]:
    """For each point the left lower corner of its name: the nearest place where it lies on nothing and within ``room``.

    All in one unit. Where there is no such place, that with the least overlap.
    """
    reach = height * 0.45
    marks = [(x - reach, y - reach, x + reach, y + reach) for x, y in points]
    taken: list[Box] = []
    corners = []
    for (x, y), width in zip(points, widths, strict=True):
        left = {1: x + reach * 1.3, -1: x - reach * 1.3 - width, 0: x - width / 2}
        places = [
            (left[side], y + (step - 1) * height / 2) for step in _STEPS for side in ((1, -1) if abs(step) < 3 else (1, -1, 0))
        ]
        best = min(places, key=lambda at: _overlap((*at, at[0] + width, at[1] + height), marks + taken, room))
        taken.append((*best, best[0] + width, best[1] + height))
        corners.append(best)
    return corners


def _overlap(box: Box, others: Sequence[Box], room: Box) -> float:
    """Area that a name shares with ``others``, and what of it lies outside."""
    outside = (box[2] - box[0]) * (box[3] - box[1]) - _common(box, room)
    return round(outside * 3 + sum(_common(box, other) for other in others), 6)


def _common(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
