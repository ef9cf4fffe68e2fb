"""Means, their two sources of uncertainty, and what the stored answers say: against resampling, numpy and scipy."""

import math

import numpy as np
import pytest
from record_factory import changed, make_record
from scipy import stats

from leaderboard.reading.collection import collect
from leaderboard.records.schema import Record
from leaderboard.stats.answers import by_model, evidence_of, gather
from leaderboard.stats.evidence import Evidence, Interval

IMAGES = 400


def with_answers(record: Record, wrong: np.ndarray) -> Record:
    """The record with exactly these wrong answers, given as a mask over the test images."""
    answers = [(int(index), 1) for index in np.flatnonzero(wrong)]
    metrics = {"wrong_answers": answers, "test_error": 100 * len(answers) / len(wrong), "test_count": len(wrong)}
    return changed(record, metrics=record.metrics.model_dump() | metrics | {"error_by_scale": []})


def drawn_table(same_images: bool, seed: int = 0, n: int = 6) -> tuple[np.ndarray, dict]:
    """Wrong masks (2, n, images) of two models, and their runs."""
    random = np.random.default_rng(seed)
    difficulty = random.beta(0.3, 1.0, (1 if same_images else n, IMAGES))
    wrong = random.random((2, n, IMAGES)) < difficulty + np.linspace(0, 0.1, n)[:, None] * random.random((2, n, 1))
    data = [{"fingerprint": "one"} if same_images else {} for _ in range(n)]
    records = [
        with_answers(make_record(f"m{m}", realization=r, test_count=IMAGES, **data[r]), wrong[m, r])  # type: ignore[arg-type]
        for m in range(2)
        for r in range(n)
    ]
    return wrong, by_model(collect(records).runs)


def two_level_bootstrap(wrong: np.ndarray, same_images: bool, draws: int = 20_000) -> np.ndarray:
    """Mean differences in percentage points: realizations drawn with replacement, then the images of each (or of all)."""
    random = np.random.default_rng(1)
    difference = 100 * (wrong[0].astype(float) - wrong[1])
    n = len(difference)
    means = np.empty(draws)
    for i in range(draws):
        rows = random.integers(0, n, n)
        if same_images:
            means[i] = difference[rows][:, random.integers(0, IMAGES, IMAGES)].mean()
        else:
            means[i] = np.mean([difference[r, random.integers(0, IMAGES, IMAGES)].mean() for r in rows])
    return means


@pytest.mark.parametrize("same_images", [False, True])
def test_the_closed_form_is_the_two_level_bootstrap(same_images: bool) -> None:
    wrong, runs = drawn_table(same_images)
    evidence = gather(runs, ["m0", "m1"], range(6)).of_pair(0, 1)
    assert (evidence.own_images > 0, evidence.shared_images > 0) == (not same_images, same_images)
    drawn = two_level_bootstrap(wrong, same_images)
    images = evidence.own_images + evidence.shared_images
    assert evidence.mean == pytest.approx(drawn.mean(), abs=4 * drawn.std() / len(drawn) ** 0.5)
    # Images drawn within drawn realizations: once per slot, so v itself. Crossed with them (drawn once for all), what neither
    # a realization nor an image explains alone is drawn a third time (Owen 2007, The pigeonhole bootstrap).
    difference = 100 * (wrong[0].astype(float) - wrong[1])
    left = difference - difference.mean(axis=0) - difference.mean(axis=1, keepdims=True) + difference.mean()
    crossed = left.var() / left.size if same_images else 0.0
    # 20,000 draws: the variance is known to about 1 %
    assert (1 - 1 / 6) * evidence.variance / 6 + images + crossed == pytest.approx(drawn.var(), rel=0.05)


def test_a_models_own_mean() -> None:
    wrong, runs = drawn_table(same_images=False)
    evidence, errors = evidence_of(runs["m0"]), 100 * wrong[0].mean(axis=1)
    assert evidence.mean == pytest.approx(errors.mean())
    assert evidence.variance == pytest.approx(errors.var(ddof=1))
    assert evidence.own_images == pytest.approx((1e4 * wrong[0].var(axis=1) / IMAGES).sum() / 36)
    both = gather(runs, ["m0", "m1"], range(6)).of_model(0)
    assert (both.mean, both.own_images, both.shared_images) == pytest.approx((evidence.mean, evidence.own_images, 0))
    shared_wrong, shared_runs = drawn_table(same_images=True)
    per_image = 100 * shared_wrong[0].mean(axis=0)
    assert evidence_of(shared_runs["m0"]).shared_images == pytest.approx(per_image.var() / IMAGES)


def test_interval_and_p_are_students_where_the_images_say_nothing() -> None:
    numbers = np.array([0.3, 0.1, 0.25, -0.05, 0.2, 0.12])
    evidence = Evidence(float(numbers.mean()), 6, float(numbers.var(ddof=1)), 0.0, 0.0, 5)
    expected = stats.ttest_1samp(numbers, 0)
    assert evidence.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (evidence.interval.low, evidence.interval.high) == pytest.approx((interval.low, interval.high))


def test_images_are_a_floor_or_are_added() -> None:
    assert Evidence(0.1, 6, 0.06, 0.0025, 0.0, 5).standard_error == pytest.approx(0.1)
    assert Evidence(0.1, 6, 0.06, 0.04, 0.0, 5).standard_error == pytest.approx(0.2)
    assert Evidence(0.1, 6, 0.06, 0.0025, 0.03, 5).standard_error == pytest.approx(0.2)


def test_one_realization_and_no_uncertainty_at_all() -> None:
    one = Evidence(0.196, 1, 0.0, 0.01, 0.0, math.inf)
    assert one.interval.low == pytest.approx(0, abs=1e-4)
    assert one.p == pytest.approx(0.05, abs=1e-4)
    assert Evidence(0.0, 6, 0.0, 0.0, 0.0, 5).p == 1
    assert Evidence(0.1, 6, 0.0, 0.0, 0.0, 5).p == 0
    assert 2.0 in Interval(2.0, 2.1)
    assert 1.99 not in Interval(2.0, 2.1)
