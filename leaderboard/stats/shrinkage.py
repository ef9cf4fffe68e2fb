"""Variance shrinkage: variances that are known from six numbers each, drawn towards their common one.

Six differences give a variance with five degrees of freedom, so after Holm's correction over 45 pairs even a difference of six
standard errors is not enough. But the pairs of one table are alike: the same data, recipe and number of runs. The moderated t
(Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), article 3) draws each variance towards their
common one, by as much as the variances of this very table agree. Where they do not (one model trains erratically), it draws
little.

Here the common variance never weighs more than the pair's own: the estimate of the agreement is itself rough for ten models,
and with this bound the error rate holds where one model's runs spread five times as far as the others' (see
benchmarks/simulated_board.py).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

Vector = NDArray[np.float64]
FEWEST = 6  # variances (the pairs of four models): of three, how far they agree cannot be told, and too much was found


def shrink_variances(variances: Vector, dof: int) -> tuple[Vector, float]:
    """Variances (k,) known to ``dof`` degrees of freedom each -> the same drawn towards their common one, and the new dof."""
    middle = float(np.median(variances))
    if len(variances) < FEWEST or not middle:
        return variances, float(dof)
    logs = np.log(np.maximum(variances, 1e-5 * middle)) - special.digamma(dof / 2) + np.log(dof / 2)
    excess = float(np.var(logs, ddof=1)) - float(special.polygamma(1, dof / 2))
    agreement = 2 * _inverse_trigamma(excess) if excess > 0 else math.inf  # d0 of Smyth's equations
    scatter = 0.0 if math.isinf(agreement) else float(special.digamma(agreement / 2) - np.log(agreement / 2))
    common, prior = float(np.exp(np.mean(logs) + scatter)), min(agreement, dof)
    return (prior * common + dof * variances) / (prior + dof), prior + dof


def _inverse_trigamma(value: float) -> float:
    """The y with trigamma(y) = value > 0, by Newton's method from below (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if -step < 1e-10 * y:
            break
    return y
