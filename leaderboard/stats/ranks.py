"""Ranks that respect ties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaderboard.stats.comparison import Comparison


def ranks(models: Sequence[str], comparisons: Iterable[Comparison]) -> dict[str, int]:
    """One plus the number of models that are better beyond doubt (Holm-corrected p < 0.05): 1, 1, 3, ...

    Only models that were compared with another at all have a rank. Where all are equal in truth, the chance that any model
    gets another rank than 1 is at most 5 % (the family-wise error of Holm's correction).
    """
    better = dict.fromkeys(models, 0)
    compared: set[str] = set()
    for comparison in comparisons:
        compared |= {comparison.a, comparison.b}
        if comparison.significant:
            better[comparison.a if comparison.difference > 0 else comparison.b] += 1
    return {model: 1 + count for model, count in better.items() if model in compared}
