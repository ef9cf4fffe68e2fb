"""Names, wrong arguments, fingerprints: what needs no data."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import datasets

VERBS = [datasets.load, datasets.load_scales]
# How each verb that takes a task is called.
CALLS = [*VERBS, datasets.fingerprint, lambda task, *rest, **named: datasets.prepare([task], [*rest] or [0], **named)]


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "sklearn", "PIL", "torchvision", "tqdm", "filelock"]
    code = f"import datasets, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_task_gets_a_suggestion_and_the_list(call: Any) -> None:
    with pytest.raises(datasets.DataError) as caught:
        call("mnist-scal-28")
    assert "unknown task 'mnist-scal-28' (did you mean 'mnist-scale-28'?)" in str(caught.value)
    assert all(task in str(caught.value) for task in datasets.TASKS) and "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["MNIST-SCALE-56+", "mnist-scale-56 +"])
def test_near_misses_are_recognized(task: str) -> None:
    with pytest.raises(datasets.DataError, match=re.escape("did you mean 'mnist-scale-56+'?")):
        datasets.fingerprint(task)


def test_a_far_miss_gets_no_suggestion() -> None:
    with pytest.raises(datasets.DataError, match="unknown task 'cifar'; tasks: mnist-scale-28, "):
        datasets.fingerprint("cifar")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("realization", [9, 6, -1, 1.0, True, "0", None])
def test_other_realizations_are_refused(call: Any, realization: Any) -> None:
    with pytest.raises(datasets.DataError, match=f"realization {realization!r} does not exist; allowed: 0 to 5"):
        call("mnist-scale-28", realization)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("test_size", [10_000, 50_000.0, "50000"])
def test_other_test_sizes_are_refused(call: Any, test_size: Any) -> None:
    with pytest.raises(datasets.DataError, match=f"test_size {test_size!r} .* allowed: 50000 \\(published\\) or 48000"):
        call("mnist-scale-28", test_size=test_size)


@pytest.mark.parametrize("call", VERBS)
@pytest.mark.parametrize("split", ["training", "", None])
def test_other_splits_are_refused(call: Any, split: Any) -> None:
    with pytest.raises(datasets.DataError, match=f"unknown split {split!r}; splits: train, validation, test"):
        call("mnist-scale-28", 0, split)


def test_the_fingerprint_is_over_the_published_hashes(golden: dict[str, Any]) -> None:
    for realization in range(6):
        splits = golden["splits"][str(realization)]
        parts = [splits[name][f"{part}_sha256"] for name in ("train", "validation", "test") for part in ("images", "labels")]
        expected = hashlib.sha256("".join(parts).encode()).hexdigest()
        assert {datasets.fingerprint(task, realization) for task in datasets.MNIST_SCALE} == {expected}


def test_fingerprints_differ_between_realizations_and_test_sizes() -> None:
    found = {
        datasets.fingerprint("mnist-scale-28", realization, test_size=test_size)
        for realization in range(datasets.REALIZATIONS)
        for test_size in datasets.TEST_SIZES
    }
    assert len(found) == 12


def test_numpy_numbers_are_numbers() -> None:
    assert datasets.fingerprint("mnist-scale-28", np.int64(2)) == datasets.fingerprint("mnist-scale-28", 2)


@pytest.mark.parametrize(
    ("tasks", "realizations", "said"),
    [
        ("mnist-scale-27", [0], "unknown task 'mnist-scale-27' (did you mean 'mnist-scale-28'?)"),
        (7, [0], "unknown task 7"),
        ([["mnist-scale-28"]], [0], "unknown task ['mnist-scale-28']"),
        (["cifar"], [], "unknown task 'cifar'"),
        ("mnist-scale-28", 9, "realization 9 does not exist"),
        ("mnist-scale-28", "0", "realization '0' does not exist"),
        ("mnist-scale-28", [[0]], "realization [0] does not exist"),
        ("mnist-scale-28", np.array([0.5]), "does not exist; allowed: 0 to 5"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(tasks: Any, realizations: Any, said: str) -> None:
    with pytest.raises(datasets.DataError, match=re.escape(said)):
        datasets.prepare(tasks, realizations)


def test_one_task_and_one_realization_need_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import mnist_scale_cache, stl10

    prepared: list[Any] = []
    monkeypatch.setattr(mnist_scale_cache, "prepare", lambda numbers, size, say: prepared.append((numbers, size)))
    monkeypatch.setattr(stl10, "prepare", lambda say: prepared.append("stl10+"))
    datasets.prepare("mnist-scale-28", 3)
    datasets.prepare(iter(["mnist-scale-28", "stl10+"]), np.arange(2))
    datasets.prepare(test_size=48_000)  # which STL-10 does not have
    assert prepared == [([3], 50_000), ([0, 1], 50_000), "stl10+", ([0, 1, 2, 3, 4, 5], 48_000), "stl10+"]
    with pytest.raises(datasets.DataError, match=r"test_size 48000 does not exist for stl10\+"):
        datasets.prepare(["stl10+"], test_size=48_000)
