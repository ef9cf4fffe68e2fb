"""Every pair of models of one table, paired over the realizations that both have: difference, interval, two tests, Holm; ranks.

**Two tests.** The sign-flip test asks only that a difference could as well have had the other sign, and is exact; but n
realizations have 2^n sign patterns, so its p is never below 2/2^n: 0.031 for six. After Holm's correction over the 45 pairs of
ten models it can call no difference significant. It is reported; what decides (``p``, ``p_holm``, ranks) is the moderated t
(leaderboard/stats/shrinkage.py) with the uncertainty of both levels, realizations and images (leaderboard/stats/evidence.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from leaderboard.records.runs import RunResult
from leaderboard.stats.answers import by_model, gather
from leaderboard.stats.evidence import LEVEL, Evidence, Interval
from leaderboard.stats.shrinkage import shrink_variances

MOST_MODELS = 200  # of one table: 19,900 pairs. Beyond, no pairs are compared
MOST_FLIPPED = 16  # realizations whose sign patterns are all tried: 65,536


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference``: mean error of a minus that of b (percentage points) over ``n`` shared realizations.

    ``p_holm`` is ``p`` corrected for all pairs of the table; ``p_sign_flip`` is None for more than 16 realizations.
    ``evidence``: what interval and p were computed from, its variance shrunken towards those of the table's other pairs.
    """

    a: str
    b: str
    difference: float
    interval: Interval
    p: float
    p_holm: float
    p_sign_flip: float | None
    n: int
    evidence: Evidence

    @property
    def significant(self) -> bool:
        """Whether the two differ significantly: p, corrected for all pairs of the table, is below 0.05."""
        return self.p_holm < 1 - LEVEL and self.difference != 0


def compare_all(runs: Iterable[RunResult]) -> tuple[Comparison, ...]:
    """Each pair of models (a before b by name) that shares at least two realizations; none in a table of over 200 models."""
    table = by_model(runs)
    if len(table) > MOST_MODELS:
        return ()
    groups: defaultdict[tuple[int, ...], list[tuple[str, str]]] = defaultdict(list)
    for a, b in combinations(table, 2):
        shared = tuple(sorted(table[a].keys() & table[b].keys()))
        if len(shared) > 1:
            groups[shared].append((a, b))
    found = [c for shared, pairs in sorted(groups.items()) for c in _compare(table, pairs, shared)]
    found.sort(key=lambda c: (c.a, c.b))
    corrected = holm([c.p for c in found])
    return tuple(replace(c, p_holm=p) for c, p in zip(found, corrected, strict=True))


def _compare(
    table: Mapping[str, Mapping[int, RunResult]], pairs: Sequence[tuple[str, str]], shared: Sequence[int]
) -> list[Comparison]:
    models = sorted({model for pair in pairs for model in pair})
    place = {model: index for index, model in enumerate(models)}
    answers = gather(table, models, shared)
    a, b = (np.array([place[pair[side]] for pair in pairs]) for side in (0, 1))
    flips: Sequence[float | None] = [None] * len(pairs)
    if len(shared) <= MOST_FLIPPED:
        flips = sign_flip(answers.errors[a] - answers.errors[b]).tolist()
    alone = [answers.of_pair(place[x], place[y]) for x, y in pairs]
    variances, dof = shrink_variances(np.array([evidence.variance for evidence in alone]), len(shared) - 1)
    comparisons = []
    for pair, flip, evidence, variance in zip(pairs, flips, alone, variances.tolist(), strict=True):
        shrunken = replace(evidence, variance=variance, dof=dof)
        p = shrunken.p
        comparisons.append(Comparison(*pair, shrunken.mean, shrunken.interval, p, p, flip, len(shared), shrunken))
    return comparisons


def sign_flip(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact two-sided p of each row of paired differences, (pairs, n): the share of the 2^n signs with as large a mean."""
    # The same sum in another order may differ in its last bits and must still count as equal.
    limit = np.abs(differences.sum(axis=1)) - 1e-9 * np.abs(differences).sum(axis=1)
    patterns = 2 ** (differences.shape[1] - 1)  # with the first sign fixed: the others mirror them
    reached = np.zeros(len(differences))
    for others in product((1.0, -1.0), repeat=differences.shape[1] - 1):
        reached += np.abs(differences @ np.array([1.0, *others])) >= limit
    p: NDArray[np.float64] = reached / patterns
    return p


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) for all the p-values together, in their order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def ranks(models: Sequence[str], comparisons: Iterable[Comparison]) -> dict[str, int]:
    """One plus the number of models that are significantly better (Holm-corrected p < 0.05), so that ties share: 1, 1, 3, ...

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
