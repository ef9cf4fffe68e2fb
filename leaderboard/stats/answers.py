"""The runs of one table side by side: by model and realization, comparable, and their wrong answers as evidence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from leaderboard.errors import RecordError
from leaderboard.records.runs import RunResult
from leaderboard.stats.evidence import Evidence

Matrix = NDArray[np.float64]


def check_comparable(task: str, runs: Sequence[RunResult]) -> None:
    """Every model must have seen the same data under the same realization number, and each of them once.

    Raises RecordError, naming two runs, when that is not so.
    """
    first: dict[int, RunResult] = {}
    counted: dict[tuple[str, int], RunResult] = {}
    for run in runs:
        other = first.setdefault(run.realization, run)
        if other.data_fingerprint != run.data_fingerprint:
            raise RecordError(
                f"{task}, realization {run.realization}: run {other.run_id} used data {other.data_fingerprint!r}, run "
                f"{run.run_id} used {run.data_fingerprint!r}; they cannot share a table, move one of the records away"
            )
        if other.test_count != run.test_count:
            raise RecordError(
                f"{task}, realization {run.realization}: run {other.run_id} was tested on {other.test_count} images, run "
                f"{run.run_id} on {run.test_count}; they cannot share a table, move one of the records away"
            )
        twin = counted.setdefault((run.model, run.realization), run)
        if twin is not run:
            raise RecordError(
                f"{task}, {run.model}: runs {twin.run_id} and {run.run_id} are both realization {run.realization} of one "
                "protocol and would count twice; move one of the records away"
            )


def by_model(runs: Iterable[RunResult]) -> dict[str, dict[int, RunResult]]:
    """Successful runs of one table by model and realization."""
    table: defaultdict[str, dict[int, RunResult]] = defaultdict(dict)
    for run in runs:
        if run.status == "ok":
            table[run.model][run.realization] = run
    return dict(sorted(table.items()))


def evidence_of(runs: Mapping[int, RunResult]) -> Evidence:
    """What one model's successful runs, by realization, say about its mean error."""
    model = next(iter(runs.values())).model
    return gather({model: runs}, [model], sorted(runs)).of_model(0)


@dataclass(frozen=True)
class Answers:
    """Models (M of them) on the same realizations (n).

    errors: (M, n) in percent. ``own`` and ``shared``: (M, M), the image variances v (leaderboard/stats/evidence.py) of the mean
    difference of each pair, from data sets of one realization and of several; on the diagonal those of each model's own mean.
    """

    errors: Matrix
    own: Matrix
    shared: Matrix

    def of_model(self, model: int) -> Evidence:
        """What is known about one model's mean error."""
        return self._evidence(self.errors[model], model, model)

    def of_pair(self, a: int, b: int) -> Evidence:
        """What is known about the mean of a's error minus b's, paired by realization."""
        return self._evidence(self.errors[a] - self.errors[b], a, b)

    def _evidence(self, numbers: Matrix, a: int, b: int) -> Evidence:
        n = len(numbers)
        # An exact zero where all are equal: rounding must not make a spread out of nothing.
        spread = float(np.var(numbers, ddof=1)) if n > 1 and np.ptp(numbers) > 0 else 0.0
        images = float(self.own[a, b]), float(self.shared[a, b])
        return Evidence(float(np.mean(numbers)), n, spread, *images, n - 1 if n > 1 else math.inf)


def gather(runs: Mapping[str, Mapping[int, RunResult]], models: Sequence[str], realizations: Sequence[int]) -> Answers:
    """The answers of these models on these realizations; ``runs[model][realization]`` is a successful run of each."""
    table = [[runs[model][realization] for realization in realizations] for model in models]
    errors = np.array([[run.test_error for run in row] for row in table], dtype=np.float64)
    by_data: defaultdict[str, list[int]] = defaultdict(list)  # realizations with the same test images
    for column in range(len(realizations)):
        by_data[table[0][column].data_fingerprint].append(column)
    own, shared = np.zeros((2, len(models), len(models)))
    for columns in by_data.values():
        variance = _image_variance([[row[c] for c in columns] for row in table], table[0][columns[0]].test_count or 1)
        target = own if len(columns) == 1 else shared
        target += variance * (100 / len(realizations)) ** 2
    return Answers(errors, own, shared)


def _image_variance(table: list[list[RunResult]], images: int) -> Matrix:
    """Variance of the sum over runs of each pair's mean difference (as fractions), images being resampled; (M, M)."""
    if len(table) == 1:  # a mean alone; by far the most calls, and no matrix is needed
        every = [run.wrong for run in table[0] if run.wrong is not None]
        times = np.unique(np.concatenate(every), return_counts=True)[1] if len(every) > 1 else np.ones(len(every[0]), np.int64)
        alone = (float(np.sum(times**2)) / images - (float(np.sum(times)) / images) ** 2) / images
        return np.array([[max(alone, 0.0)]])
    counts = _counts(table, images)
    products = np.asarray((counts @ counts.T).todense(), dtype=np.float64)  # integers, hence exact
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    squares = np.diag(products)[:, None] + np.diag(products)[None, :] - 2 * products
    differences = totals[:, None] - totals[None, :]
    np.fill_diagonal(squares, np.diag(products))
    np.fill_diagonal(differences, totals)
    variance: Matrix = (squares / images - (differences / images) ** 2) / images
    return np.maximum(variance, 0.0)


def _counts(table: list[list[RunResult]], images: int) -> sparse.csr_array:
    """How many of each model's runs were wrong about each image: (M, images)."""
    wrong = [np.concatenate([run.wrong for run in row if run.wrong is not None]) for row in table]
    rows = np.repeat(np.arange(len(table)), [len(indices) for indices in wrong])
    ones = np.ones(len(rows), dtype=np.int64)
    return sparse.csr_array((ones, (rows, np.concatenate(wrong))), shape=(len(table), images))  # doubles are added up
