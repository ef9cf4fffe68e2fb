"""Pairs of models: the tests against references, the corrections, and what the order of the records must not change."""

import random

import numpy as np
import pytest
from record_factory import make_record
from scipy import stats
from statsmodels.stats.multitest import multipletests

from leaderboard.reading.collection import collect
from leaderboard.records.schema import Record
from leaderboard.stats.comparison import MOST_MODELS, compare_all, holm, ranks, sign_flip
from leaderboard.stats.shrinkage import FEWEST, shrink_variances


def table(errors: dict[str, list[int]], **options: object) -> list[Record]:
    """Records with so many wrong answers of 1,000, per model and realization."""
    return [
        make_record(model, realization=r, wrong=wrong, **options)  # type: ignore[arg-type]
        for model, row in errors.items()
        for r, wrong in enumerate(row)
    ]


ERRORS = {
    "a": [20, 21, 19, 22, 20, 21],
    "b": [21, 22, 19, 21, 22, 20],
    "c": [90, 91, 88, 92, 90, 90],
    "d": [91, 89, 90, 92, 91, 88],
}


def test_sign_flip_is_scipys_exact_permutation_test() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1, (20, 6)).round(1)  # rounded: sums that tie

    def mean(x: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(x, axis=axis)

    for row, p in zip(differences, sign_flip(differences), strict=True):
        exact = stats.permutation_test((row,), mean, permutation_type="samples", n_resamples=np.inf)
        assert p == pytest.approx(exact.pvalue)
    assert sign_flip(np.full((1, 6), 0.1))[0] == 2 / 2**6
    assert sign_flip(np.zeros((1, 6)))[0] == 1


def test_holm_is_the_reference() -> None:
    for seed in range(20):
        p = (np.random.default_rng(seed).random(45) ** 4).tolist()
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == []


def test_what_a_comparison_says() -> None:
    found = compare_all(collect(table(ERRORS)).runs)
    assert [(c.a, c.b) for c in found] == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    first, second = found[0], found[1]
    assert first.difference == pytest.approx(np.mean(ERRORS["a"]) / 10 - np.mean(ERRORS["b"]) / 10)
    assert first.difference in first.interval
    assert 0 in first.interval
    assert not first.significant
    assert second.difference == pytest.approx(-6.97, abs=0.01)
    assert second.significant
    assert second.p_sign_flip == 2 / 2**6
    assert {c.n for c in found} == {6}
    assert ranks(list(ERRORS), found) == {"a": 1, "b": 1, "c": 3, "d": 3}


def test_signs_alone_never_separate_ten_models() -> None:
    clear = table({f"m{m}": [20 + 50 * m + r % 2 for r in range(6)] for m in range(10)})
    found = compare_all(collect(clear).runs)
    assert min(holm([c.p_sign_flip or 0 for c in found])) > 0.05
    assert all(c.significant for c in found)
    assert [rank for _, rank in sorted(ranks([f"m{m}" for m in range(10)], found).items())] == list(range(1, 11))


def test_only_shared_realizations_count() -> None:
    records = table({"a": ERRORS["a"], "b": ERRORS["b"][:3], "c": ERRORS["c"][:1]})
    (found,) = compare_all(collect(records).runs)
    assert (found.a, found.b, found.n) == ("a", "b", 3)
    assert found.difference == pytest.approx((20 - 62 / 3) / 10)
    assert ranks(["a", "b", "c"], (found,)) == {"a": 1, "b": 1}
    failure = {"kind": "E", "message": "m", "traceback_tail": []}
    assert compare_all(collect([make_record("a", failure=failure), *table({"b": ERRORS["b"]})]).runs) == ()


def test_the_order_of_the_records_changes_no_bit() -> None:
    records = table(ERRORS | {"e": ERRORS["a"][:4]})
    found = compare_all(collect(records).runs)
    for seed in range(5):
        assert compare_all(collect(random.Random(seed).sample(records, len(records))).runs) == found


def test_too_many_models_are_not_compared() -> None:
    few = table({f"m{m}": [20, 21] for m in range(MOST_MODELS)}, test_count=100)
    assert len(compare_all(collect(few).runs)) == MOST_MODELS * (MOST_MODELS - 1) / 2
    assert compare_all(collect([*few, make_record("one-more", wrong=3, test_count=100)]).runs) == ()


def test_shrinkage_draws_towards_the_common_variance() -> None:
    drawn = stats.chi2.rvs(5, size=45, random_state=0) / 5  # one true variance, 1
    shrunken, dof = shrink_variances(drawn, 5)
    assert dof == 10  # never more than as much again
    common = 2 * shrunken - drawn  # each is drawn half the way to it
    assert common == pytest.approx(np.full(45, common[0]))
    assert common[0] == pytest.approx(1, abs=0.25)  # from 45 variances of 5 degrees of freedom each
    assert np.array_equal(np.argsort(shrunken), np.argsort(drawn))
    unlike = drawn * np.logspace(-3, 3, 45)
    kept, dof = shrink_variances(unlike, 5)
    assert 5 < dof < 6
    assert kept[20] == pytest.approx(unlike[20], rel=1)


def test_the_prior_is_smyths() -> None:
    # d0 and s0^2 of his equations, found from many variances that were drawn with d0 = 4 and s0^2 = 2
    random = np.random.default_rng(0)
    true = 2 * 4 / random.chisquare(4, 200_000)
    drawn = true * random.chisquare(5, 200_000) / 5
    shrunken, dof = shrink_variances(drawn, 5)
    assert dof == pytest.approx(9, abs=0.1)
    assert shrunken == pytest.approx((4 * 2 + 5 * drawn) / 9, rel=0.03)


def test_few_or_no_variances_are_left_alone() -> None:
    for variances in (np.ones(FEWEST - 1) * [1, 2, 3, 4, 5], np.zeros(10)):
        shrunken, dof = shrink_variances(variances, 5)
        assert np.array_equal(shrunken, variances)
        assert dof == 5
    shrunken, _ = shrink_variances(np.array([0.0, 1, 1, 1, 2, 2, 2]), 5)
    assert np.all(np.isfinite(shrunken))
