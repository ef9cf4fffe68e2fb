"""Data sets as tensors, verified; batched augmentation. Importing this package imports nothing heavy.

    images, labels = datasets.load("mnist-scale-28", realization=0, split="test")   # uint8 (N, 1, 28, 28), int64 (N,)

The four MNIST-scale tasks share their images: '+' is augmentation during training, 56 an upsampling inside the model.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING

from datasets.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

TASKS: tuple[str, ...] = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")
REALIZATIONS = 6
SPLITS = ("train", "validation", "test")
TEST_SIZES = (50_000, 48_000)

__all__ = ["REALIZATIONS", "SPLITS", "TASKS", "TEST_SIZES", "DataError", "fingerprint", "load", "load_scales", "prepare"]


def load(task: str, realization: int = 0, split: str = "test", *, test_size: int = 50_000) -> tuple[Tensor, Tensor]:
    """Load one split: images uint8 (N, 1, 28, 28) and labels int64 (N,), checked against the known hashes.

    `split`: "train", "validation" (or "val"), "test". `test_size`: 50,000 is the published split of all 70,000 MNIST images;
    48,000 the other one in circulation, of the 60,000 training images. What is missing is fetched and built first.

    Raises DataError: unknown task, realization, split or test size; or the data cannot be had.
    """
    split = _check(task, realization, split, test_size)
    from datasets import mnist_scale_cache

    return mnist_scale_cache.load(realization, split, test_size)


def load_scales(task: str, realization: int = 0, split: str = "test", *, test_size: int = 50_000) -> Tensor:
    """The scale factor of every image of a split: float64 (N,), in 0.3 .. 1.0. Needs no data. Raises DataError."""
    split = _check(task, realization, split, test_size)
    from datasets import mnist_scale_cache

    return mnist_scale_cache.load_scales(realization, split, test_size)


def fingerprint(task: str, realization: int = 0, *, test_size: int = 50_000) -> str:
    """A SHA-256 (64 hex digits) over the hashes of all images and labels of a realization. Needs no data. Raises DataError."""
    _check(task, realization, "test", test_size)
    from datasets import hashes

    return hashes.fingerprint(realization, test_size)


def prepare(
    tasks: Iterable[str] | None = None,
    realizations: Iterable[int] = range(REALIZATIONS),
    *,
    test_size: int = 50_000,
    say: Callable[[str], None] = print,
) -> None:
    """Fetch and verify what the tasks need, and build what is missing, with a visible line for each step. Raises DataError."""
    wanted = list(dict.fromkeys(realizations))
    for task in TASKS if tasks is None else tasks:
        for realization in wanted:
            _check(task, realization, "test", test_size)
    from datasets import mnist_scale_cache

    mnist_scale_cache.prepare(wanted, test_size, say)


def _check(task: str, realization: int, split: str, test_size: int) -> str:
    """The split's full name, when everything given exists."""
    if task not in TASKS:
        close = difflib.get_close_matches(str(task).lower(), TASKS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise DataError(f"unknown task {task!r}{hint}; tasks: {', '.join(TASKS)}")
    if not _is_one_of(realization, range(REALIZATIONS)):
        raise DataError(f"realization {realization!r} does not exist; allowed: 0 to {REALIZATIONS - 1}")
    if not _is_one_of(test_size, TEST_SIZES):
        raise DataError(f"test_size {test_size!r} does not exist; allowed: {' (published) or '.join(map(str, TEST_SIZES))}")
    full = "validation" if split == "val" else split
    if full not in SPLITS:
        raise DataError(f"unknown split {split!r}; splits: {', '.join(SPLITS)}")
    return full


def _is_one_of(number: int, allowed: Iterable[int]) -> bool:
    """Whether it is one of these whole numbers; True and 1.0 equal 1 but name no file."""
    return isinstance(number, Integral) and not isinstance(number, bool) and number in allowed
