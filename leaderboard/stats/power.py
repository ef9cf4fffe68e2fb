"""How many realizations it would take until the difference of two models is significant."""

from __future__ import annotations

import math

from scipy import special

from leaderboard.stats.evidence import LEVEL, Evidence

POWER = 0.8
MOST = 1000


def power(evidence: Evidence, realizations: int, alpha: float = 1 - LEVEL) -> float:
    """The chance that so many realizations (2 or more) give p < alpha, were the truth what the evidence says.

    The noncentral t distribution. Images that every realization has to itself grow in number with the realizations; those
    that the realizations share do not.
    """
    own = evidence.own_images * evidence.n / realizations
    error = (max(evidence.variance / realizations, own) + evidence.shared_images) ** 0.5
    if not error:
        return 1.0 if evidence.mean else alpha
    dof = realizations - 1 + evidence.dof - (evidence.n - 1)
    limit = special.stdtrit(dof, 1 - alpha / 2)
    shift = min(abs(evidence.mean) / error, 30.0)  # beyond, the power is 1 and the function no longer finite
    wrong_way = float(special.nctdtr(dof, shift, -limit))  # nan where it is too small for the function
    return float(1 - special.nctdtr(dof, shift, limit)) + (0.0 if math.isnan(wrong_way) else wrong_way)


def realizations_needed(evidence: Evidence, alpha: float = 1 - LEVEL) -> int | None:
    """The least number of realizations, in all, with a power of 80 %; None where not even 1,000 are enough."""
    if power(evidence, MOST, alpha) < POWER:
        return None
    low, high = 1, MOST  # power grows with the number: bisection
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(evidence, middle, alpha) >= POWER else (middle, high)
    return high
