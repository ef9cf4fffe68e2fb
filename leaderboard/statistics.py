"""Numbers about numbers. Room for the paired tests; so far the mean and the spread over realizations."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.errors import RecordError


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divisor n - 1; None for n = 1) of n numbers, in the numbers' own unit."""

    mean: float
    std: float | None
    n: int


def summarise(errors: Sequence[float]) -> Summary:
    """Summary of one or more errors, the same to the last bit in whatever order they come.

    The divisor n - 1 is this suite's choice: which estimator stands behind the published "mean +- std" (Sosnovik et al.
    2020, six realizations) is not stated there. Raises RecordError when there is nothing to summarise.
    """
    if not errors:
        raise RecordError("there are no errors to summarise; give at least one")
    # Exact rational arithmetic inside: no rounding that depends on the order.
    return Summary(statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None, len(errors))
