"""Power: against simulation, and against what is known at its ends."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from leaderboard.stats.evidence import Evidence
from leaderboard.stats.power import MOST, power, realizations_needed

SEEN = Evidence(mean=0.1, n=6, variance=0.01, own_images=0.0, shared_images=0.0, dof=5)


def test_power_is_that_of_simulated_t_tests() -> None:
    drawn = np.random.default_rng(0).normal(0.1, 0.1, (20_000, 8))
    share = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.01)
    assert power(SEEN, 8, alpha=0.01) == pytest.approx(share, abs=0.015)


def test_needed_is_the_least_number_that_is_enough() -> None:
    needed = realizations_needed(SEEN)
    assert needed is not None
    assert power(SEEN, needed) >= 0.8 > power(SEEN, needed - 1)
    stricter = realizations_needed(SEEN, 0.05 / 45)
    assert stricter is not None
    assert stricter > needed


def test_the_ends() -> None:
    assert realizations_needed(replace(SEEN, mean=0.0)) is None
    assert realizations_needed(replace(SEEN, mean=1e-4)) is None
    assert realizations_needed(replace(SEEN, mean=100.0)) == 2
    # Images shared by all realizations leave an uncertainty that no further training seed takes away.
    stuck = replace(SEEN, shared_images=0.01)
    assert realizations_needed(stuck) is None
    assert power(stuck, MOST) == pytest.approx(special.ndtr(1 - 1.96) + special.ndtr(-1 - 1.96), abs=0.01)
    assert realizations_needed(replace(SEEN, own_images=0.01)) is not None
    assert power(Evidence(0.1, 6, 0.0, 0.0, 0.0, 5), 6) == 1
    assert math.isfinite(power(replace(SEEN, mean=1e6), 500))
