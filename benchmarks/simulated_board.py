"""How often the board's statistics are right, on simulated boards whose truth is known.

    python benchmarks/simulated_board.py [--boards 2000] [--seed 0]

A simulated board has ten models on n realizations of 50,000 test images. One image in ten is hard; a model is wrong about a
hard image with a probability drawn once per image from Beta(0.23, 0.93), and never about the others: an error of 2 %, and two
models share 57 % of their wrong answers. (The ten `short` records at hand: 3 to 4.6 %, 53 to 64 % shared, 45,184 of 50,000
images never wrong.) Each realization shifts all its models together, and each run by itself; sizes are standard deviations in
percentage points. The wrong answers go through the very functions that the board uses.

Printed per scenario: the share of boards with any rank that the truth does not bear out (family-wise error; at most 5 % is
claimed); how many 95 % intervals hold the truth, of means and of differences; power, the share of truly different pairs found
significantly different. In brackets the same for what was not chosen: a paired t (t) and the exact sign-flip test (flip),
Holm-corrected alike; percentile intervals from 400 draws of the two-level bootstrap (boot; images drawn in their normal limit).
± is two standard errors of the simulation itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from leaderboard.records.runs import RunResult
from leaderboard.stats.answers import by_model, evidence_of
from leaderboard.stats.comparison import Comparison, compare_all, holm, ranks

DRAWS = 400
ERROR = 2.0  # percent
HARD = 0.1  # of the images
ALPHA, BETA = 0.23, 0.93
# d error / d c of p -> p + c p (1 - p), which keeps probabilities within [0, 1] and moves the mean by an exactly known amount
_SLOPE = 100 * HARD * ALPHA * BETA / ((ALPHA + BETA) * (ALPHA + BETA + 1))


@dataclass(frozen=True)
class Scenario:
    """``better``: how much lower the error of the first half of the models is. ``run``: spread of runs, of all or of each."""

    name: str
    realizations: int = 6
    run: float | tuple[float, ...] = 0.07
    shared: float = 0.05
    better: float = 0.0
    images: int = 50_000
    same_images: bool = False
    models: int = 10


@dataclass
class Tally:
    """Counts over simulated boards."""

    boards: int = 0
    wrong_ranks: int = 0
    means: list[bool] = field(default_factory=list)
    differences: list[bool] = field(default_factory=list)
    bootstrapped: list[bool] = field(default_factory=list)
    found: dict[str, list[bool]] = field(default_factory=lambda: {"board": [], "t": [], "flip": []})
    false: dict[str, int] = field(default_factory=lambda: {"board": 0, "t": 0, "flip": 0})


NOISY = (0.25, *[0.05] * 9)
SCENARIOS = (
    *(Scenario(f"all equal, runs ± {run}", run=run) for run in (0.0, 0.05, 0.1, 0.2)),
    Scenario("all equal, one model's runs ± 0.25, the others' ± 0.05", run=NOISY),
    Scenario("all equal, three models, runs ± 0.1", run=0.1, models=3),
    *(Scenario(f"all equal, runs ± 0.1, n = {n}", realizations=n, run=0.1) for n in (2, 3)),
    Scenario("all equal, one test set of 8,000 for all seeds", run=0.2, shared=0.0, images=8_000, same_images=True),
    *(Scenario(f"five better by {by}, runs ± {run}", better=by, run=run) for by in (0.1, 0.2, 0.3) for run in (0.05, 0.1)),
)


def simulate(scenario: Scenario, random: np.random.Generator) -> list[RunResult]:
    """The runs of one board."""
    n, hard = scenario.realizations, round(HARD * scenario.images)
    effects = _true_shifts(scenario)[:, None] + np.reshape(scenario.run, (-1, 1)) * random.standard_normal((scenario.models, n))
    effects = (effects + scenario.shared * random.standard_normal(n)) / _SLOPE
    difficulty = random.beta(ALPHA, BETA, (1 if scenario.same_images else n, hard))
    runs = []
    for realization in range(n):
        p = difficulty[0 if scenario.same_images else realization]
        chance = p + np.clip(effects[:, realization, None], -1, 1) * p * (1 - p)
        wrong = random.random((scenario.models, hard), dtype=np.float32) < chance
        runs += [_run(f"m{m}", realization, np.flatnonzero(wrong[m]), scenario) for m in range(scenario.models)]
    return runs


def _true_shifts(scenario: Scenario) -> NDArray[np.float64]:
    return np.where(np.arange(scenario.models) < scenario.models // 2, -scenario.better, 0.0)


_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_REST: dict[str, Any] = dict.fromkeys(RunResult.__dataclass_fields__) | {
    "started": _MOMENT,
    "finished": _MOMENT,
    "status": "ok",
}


def _run(model: str, realization: int, wrong: NDArray[np.int64], scenario: Scenario) -> RunResult:
    said = {
        "model": model, "realization": realization, "test_count": scenario.images, "wrong": wrong.astype(np.int32),
        "test_error": 100 * len(wrong) / scenario.images,
        "data_fingerprint": "one" if scenario.same_images else str(realization),
    }  # fmt: skip
    return RunResult(**(_REST | said))


def judge(scenario: Scenario, runs: list[RunResult], tally: Tally) -> None:
    """Compare what the statistics say about one board with the truth."""
    comparisons = compare_all(runs)
    table = by_model(runs)
    truth = dict(zip(sorted(table), _true_shifts(scenario), strict=True))
    tally.boards += 1
    tally.means += [ERROR + truth[model] in evidence_of(its).interval for model, its in table.items()]
    tally.differences += [truth[c.a] - truth[c.b] in c.interval for c in comparisons]

    differences = _differences(table)
    bounds = np.percentile(_two_level_draws(differences, comparisons), [2.5, 97.5], axis=1).T
    tally.bootstrapped += [low <= truth[c.a] - truth[c.b] <= high for c, (low, high) in zip(comparisons, bounds, strict=True)]
    verdicts = {
        "board": [c.p_holm for c in comparisons],
        "t": holm(_paired_t(differences)),
        "flip": holm([1.0 if c.p_sign_flip is None else c.p_sign_flip for c in comparisons]),
    }
    for test, p_values in verdicts.items():
        differ = [truth[c.a] != truth[c.b] for c in comparisons]
        right_way = [(c.difference > 0) == (truth[c.a] > truth[c.b]) for c in comparisons]
        significant = [p < 0.05 for p in p_values]
        tally.found[test] += [t and way for t, way, real in zip(significant, right_way, differ, strict=True) if real]
        tally.false[test] += any(t and not (real and way) for t, way, real in zip(significant, right_way, differ, strict=True))
    rank = ranks(list(table), comparisons)
    tally.wrong_ranks += any(rank[m] > 1 + sum(truth[o] < truth[m] for o in table) for m in table)


def _differences(table: dict[str, dict[int, RunResult]]) -> NDArray[np.float64]:
    """Each pair's differences: (pairs, realizations)."""
    errors = {model: np.array([run.test_error for run in its.values()]) for model, its in table.items()}
    return np.array([errors[a] - errors[b] for a, b in combinations(table, 2)])


def _paired_t(differences: NDArray[np.float64]) -> list[float]:
    n = differences.shape[1]
    error = np.maximum(differences.std(axis=1, ddof=1), 1e-12) / n**0.5
    p: list[float] = (2 * special.stdtr(n - 1, -np.abs(differences.mean(axis=1)) / error)).tolist()
    return p


def _two_level_draws(differences: NDArray[np.float64], comparisons: tuple[Comparison, ...]) -> NDArray[np.float64]:
    random, n = np.random.default_rng(0), differences.shape[1]
    means = differences[:, random.integers(0, n, (DRAWS, n))].mean(axis=2)
    images = np.sqrt([c.evidence.own_images + c.evidence.shared_images for c in comparisons])
    return means + images[:, None] * random.standard_normal(means.shape)


def boards(scenario: Scenario, count: int, seed: int) -> Iterator[list[RunResult]]:
    """So many simulated boards, the same for the same seed."""
    for child in np.random.SeedSequence(seed).spawn(count):
        yield simulate(scenario, np.random.default_rng(child))


def measure(scenario: Scenario, count: int, seed: int) -> Tally:
    """The tally of so many boards."""
    tally = Tally()
    for runs in boards(scenario, count, seed):
        judge(scenario, runs, tally)
    return tally


def _share(yes: int, of: int) -> str:
    share = yes / of
    return f"{100 * share:.1f} ± {200 * (max(share, 1 / of) * (1 - share) / of) ** 0.5:.1f}"


def main() -> None:
    """Print a row per scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| scenario | n | false ranks % (t, flip) | means held % | differences held % (boot) | power % (t, flip) |")
    print("|---|---:|---|---:|---:|---|")
    for scenario in SCENARIOS:
        tally = measure(scenario, given.boards, given.seed)
        others = ", ".join(f"{100 * tally.false[test] / tally.boards:.1f}" for test in ("t", "flip"))
        power = "–"
        if scenario.better:
            power, *rest = (f"{100 * float(np.mean(found)):.1f}" for found in tally.found.values())
            power += f" ({', '.join(rest)})"
        cells = [
            scenario.name, str(scenario.realizations), f"{_share(tally.wrong_ranks, tally.boards)} ({others})",
            f"{100 * np.mean(tally.means):.1f}",
            f"{100 * np.mean(tally.differences):.1f} ({100 * np.mean(tally.bootstrapped):.1f})", power,
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
