"""A mean over realizations and its uncertainty: standard error, 95 % interval, p-value.

**Two levels.** An error is a mean over test images within a realization, and then over realizations; resampling both with
replacement (first realizations, then each one's test images) is the two-level bootstrap. Where every realization has test
images of its own, the variance that it finds of a mean has a closed form, so nothing is drawn and there is no seed:

    (1 - 1/n) s^2 / n + v,    v = (1/n^2) sum over the data sets g of (variance over the images of g) / (images of g)

s is the sample standard deviation over the n realizations. Taken as it is, this is wrong three ways for n = 6: the factor
1 - 1/n; a normal quantile where s is known from six numbers only; and where every realization has test images of its own, s
already holds the chance of the images, and v counts it again (Davison and Hinkley 1997, section 3.8). So the two levels are put
together as what they are: v of images that one realization has to itself is a *floor* under s^2 / n, for six numbers may lie
close together by luck, but not closer than their images allow; v of images shared by several realizations (training seeds on
one data set: ``stl10+``) is *added*, for s knows nothing of it. That sum is conservative: what neither a seed nor an image
explains alone is in both terms (Owen 2007, The pigeonhole bootstrap: the bootstrap itself counts it three times). Intervals and
p-values are Student's t.

benchmarks/simulated_board.py measures error rates, coverage and power, also of what was not chosen. Units: percent (errors),
percentage points (differences), their squares (variances).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from leaderboard.errors import RecordError

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divisor n - 1; None for n = 1) of n numbers, in the numbers' own unit."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true mean lies, with a confidence of 95 %."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Evidence:
    """A mean over ``n`` realizations, and what is known of its variance.

    ``variance``: that of one realization's number, known to ``dof`` degrees of freedom. ``own_images`` and
    ``shared_images``: v, from data sets that one realization has to itself and from those that several share. For n = 1 the
    variance is 0 and dof infinite: interval and p then speak of other test images only, not of another training.
    """

    mean: float
    n: int
    variance: float
    own_images: float
    shared_images: float
    dof: float

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(max(self.variance / self.n, self.own_images) + self.shared_images)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the true mean, by Student's t."""
        reach = _quantile(self.dof, (1 + LEVEL) / 2) * self.standard_error
        return Interval(self.mean - reach, self.mean + reach)

    @property
    def p(self) -> float:
        """Two-sided p-value of a true mean of zero."""
        if not self.standard_error:
            return 1.0 if self.mean == 0 else 0.0
        return 2 * _cdf(self.dof, -abs(self.mean) / self.standard_error)


def _quantile(dof: float, level: float) -> float:
    return float(special.ndtri(level) if math.isinf(dof) else special.stdtrit(dof, level))


def _cdf(dof: float, t: float) -> float:
    return float(special.ndtr(t) if math.isinf(dof) else special.stdtr(dof, t))


def summarise(errors: Sequence[float]) -> Summary:
    """Summary of one or more errors, the same to the last bit in whatever order they come.

    The divisor n - 1 is this suite's choice: which estimator stands behind the published "mean +- std" (Sosnovik et al.
    2020, six realizations) is not stated there. Raises RecordError when there is nothing to summarise.
    """
    if not errors:
        raise RecordError("there are no errors to summarise; give at least one")
    # Exact rational arithmetic inside: no rounding that depends on the order.
    return Summary(statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None, len(errors))
