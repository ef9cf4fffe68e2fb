"""Numbers about numbers: a mean over realizations, how sure it is, and where the doubt comes from.

**Two levels.** An error is a mean over test images within a realization, and then over realizations. The bootstrap that
resamples both with replacement (first realizations, then each one's test images) knows two sources of doubt. For a mean, which
is all that is asked here, its variance has a closed form, so nothing is drawn and there is no seed:

    variance = s^2 / n + v,    v = (1/n^2) sum over the data sets g of (variance over the images of g) / (images of g)

s is the sample standard deviation over the n realizations. (Drawn, the first term comes out (n-1)/n too small; it is
corrected here.) Realizations that share their test images (training seeds on one data set: ``stl10+``) have their images
resampled together. Davison and Hinkley 1997, section 3.8: where every realization has images of its own, s already holds the
chance of the images, so v counts it twice. That errs on the side of caution, and it is what makes six realizations enough to
work with: v is known almost exactly, so the sum's degrees of freedom (Satterthwaite 1946) are more than n - 1 = 5, and a
difference cannot look sure only because six numbers happened to lie close together.

Intervals and p-values come from Student's t with these degrees of freedom. docs/statistics.md: measured error rates, coverage
and power, also of the alternatives. Units: percent (errors), percentage points (differences), their squares (variances).
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
    """A mean over ``n`` realizations and the variances of that mean: ``between`` realizations (s^2 / n) and of ``images`` (v).

    ``between`` is 0 for n = 1, where nothing is known about it: interval and p then speak of other test images only.
    """

    mean: float
    n: int
    between: float
    images: float

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.between + self.images)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error; infinite when all of it comes from the images."""
        return (self.n - 1) * (1 + self.images / self.between) ** 2 if self.between else math.inf

    @property
    def interval(self) -> Interval:
        """The 95 % interval."""
        reach = _quantile(self.freedom, (1 + LEVEL) / 2) * self.error
        return Interval(self.mean - reach, self.mean + reach)

    @property
    def p(self) -> float:
        """Two-sided p-value of a true mean of zero."""
        if not self.error:
            return 1.0 if self.mean == 0 else 0.0
        return 2 * _below(self.freedom, -abs(self.mean) / self.error)


def _quantile(freedom: float, level: float) -> float:
    return float(special.ndtri(level) if math.isinf(freedom) else special.stdtrit(freedom, level))


def _below(freedom: float, t: float) -> float:
    return float(special.ndtr(t) if math.isinf(freedom) else special.stdtr(freedom, t))


def summarise(errors: Sequence[float]) -> Summary:
    """Summary of one or more errors, the same to the last bit in whatever order they come.

    The divisor n - 1 is this suite's choice: which estimator stands behind the published "mean +- std" (Sosnovik et al.
    2020, six realizations) is not stated there. Raises RecordError when there is nothing to summarise.
    """
    if not errors:
        raise RecordError("there are no errors to summarise; give at least one")
    # Exact rational arithmetic inside: no rounding that depends on the order.
    return Summary(statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None, len(errors))
