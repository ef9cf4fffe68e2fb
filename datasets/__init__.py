"""Data sets as tensors, verified; batched augmentation. Importing this package imports nothing heavy.

    images, labels = datasets.load("mnist-scale-28", realization=0, split="test")   # uint8 (N, 1, 28, 28), int64 (N,)

The four MNIST-scale tasks share their images: '+' is augmentation during training, 56 an upsampling inside the model. STL-10
has one data set, without a validation part; its "realizations" are training seeds on the same images.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from datasets.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

MNIST_SCALE: tuple[str, ...] = ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+")
STL10 = "stl10+"
TASKS: tuple[str, ...] = (*MNIST_SCALE, STL10)
REALIZATIONS = 6
SPLITS = ("train", "validation", "test")
TEST_SIZES = (50_000, 48_000)
STL10_SIZES = {"train": 5_000, "test": 8_000}

__all__ = [
    "MNIST_SCALE",
    "REALIZATIONS",
    "SPLITS",
    "STL10",
    "TASKS",
    "TEST_SIZES",
    "DataError",
    "at_hand",
    "fingerprint",
    "has_scales",
    "image_shape",
    "load",
    "load_originals",
    "load_scales",
    "prepare",
    "sizes",
]


def load(task: str, realization: int = 0, split: str = "test", *, test_size: int | None = None) -> tuple[Tensor, Tensor]:
    """Load one split: images uint8 (N, 1, 28, 28), or (N, 3, 96, 96) of STL-10, and labels int64 (N,), hashes checked.

    `split`: "train", "validation" (or "val"; not on STL-10), "test". `test_size` (mnist-scale): 50,000, the default, is the
    published split of all 70,000 MNIST images; 48,000 the other one in circulation, of the 60,000 training images. What is
    missing is fetched and built first.

    Raises DataError: unknown task, realization, split or test size; or the data are unavailable.
    """
    split, size = _check(task, realization, split, test_size)
    if task == STL10:
        from datasets import stl10

        return stl10.load(split)
    from datasets import mnist_scale_cache

    return mnist_scale_cache.load(realization, split, size)


def at_hand(task: str, realization: int = 0) -> bool:
    """Whether `load` and `load_originals` have a realization's images here: nothing is fetched or built. Raises DataError."""
    _, size = _check(task, realization, "test", None)
    if task == STL10:
        from datasets import stl10

        return stl10.find() is not None
    from datasets import mnist_scale_cache

    return mnist_scale_cache.at_hand(realization, size)


def has_scales(task: str) -> bool:
    """Whether the images of a task have known scale factors."""
    return task != STL10


def load_scales(task: str, realization: int = 0, split: str = "test", *, test_size: int | None = None) -> Tensor:
    """The scale factor of every image of a split: float64 (N,), in 0.3 .. 1.0. Needs no data. Raises DataError."""
    split, size = _check(task, realization, split, test_size)
    if not has_scales(task):
        raise DataError(f"the images of {task} have no known scale factors; only the mnist-scale tasks have them")
    from datasets import mnist_scale_cache

    return mnist_scale_cache.load_scales(realization, split, size)


def load_originals(
    task: str, realization: int = 0, split: str = "test", *, test_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """The MNIST digits that a mnist-scale split was made from, in its order and not yet rescaled; shapes as `load`'s.

    Raises DataError: as `load`, and for a task without scale factors.
    """
    split, size = _check(task, realization, split, test_size)
    if not has_scales(task):
        raise DataError(f"the images of {task} are originals themselves; only the mnist-scale tasks rescale theirs")
    from datasets import mnist_scale_cache

    return mnist_scale_cache.load_originals(realization, split, size)


def sizes(task: str, *, test_size: int | None = None) -> dict[str, int]:
    """The number of images of each split that a task has. Raises DataError."""
    _, size = _check(task, 0, "test", test_size)
    return dict(STL10_SIZES) if task == STL10 else {"train": 10_000, "validation": 2_000, "test": size}


def image_shape(task: str) -> tuple[int, int, int]:
    """Channels, height and width of a task's images. Raises DataError."""
    _check(task, 0, "test", None)
    return (3, 96, 96) if task == STL10 else (1, 28, 28)


def fingerprint(task: str, realization: int = 0, *, test_size: int | None = None) -> str:
    """A SHA-256 (64 hex digits) over the hashes of all images and labels of a realization. Needs no data. Raises DataError."""
    _, size = _check(task, realization, "test", test_size)
    if task == STL10:
        from datasets import stl10

        return stl10.fingerprint()
    from datasets import hashes

    return hashes.fingerprint(realization, size)


def prepare(
    tasks: Iterable[str] | None = None,
    realizations: Iterable[int] = range(REALIZATIONS),
    *,
    test_size: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Fetch and verify what the tasks need, and build what is missing, with a visible line for each step.

    `tasks`: None for all, of which `test_size` concerns mnist-scale. Raises DataError.
    """
    chosen, wanted = _listed(TASKS if tasks is None else tasks), _listed(realizations)
    mnist_scale_sizes = set()
    for task in chosen:
        for realization in wanted or [0]:
            _, size = _check(task, realization, "test", None if tasks is None and task == STL10 else test_size)
            mnist_scale_sizes |= {size} if task != STL10 else set()
    if mnist_scale_sizes:
        from datasets import mnist_scale_cache

        mnist_scale_cache.prepare(list(dict.fromkeys(wanted)), mnist_scale_sizes.pop(), say)
    if STL10 in chosen:
        from datasets import stl10

        stl10.prepare(say)


def _check(task: str, realization: int, split: str, test_size: int | None) -> tuple[str, int]:
    """The split's full name and the size of the test split, when everything given exists."""
    if task not in TASKS:
        close = difflib.get_close_matches(str(task).lower(), TASKS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise DataError(f"unknown task {task!r}{hint}; tasks: {', '.join(TASKS)}")
    if not _is_one_of(realization, range(REALIZATIONS)):
        raise DataError(f"realization {realization!r} does not exist; allowed: 0 to {REALIZATIONS - 1}")
    allowed = (STL10_SIZES["test"],) if task == STL10 else TEST_SIZES
    size = allowed[0] if test_size is None else test_size
    if not _is_one_of(size, allowed):
        sizes_text = " (published) or ".join(map(str, allowed))
        raise DataError(f"test_size {test_size!r} does not exist for {task}; allowed: {sizes_text}")
    full, splits = "validation" if split == "val" else split, tuple(STL10_SIZES) if task == STL10 else SPLITS
    if full not in splits:
        raise DataError(f"unknown split {split!r}; splits: {', '.join(splits)}")
    return full, size


def _listed(given: object) -> list[Any]:
    """What was given one by one; one alone is a list of one."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]


def _is_one_of(number: int, allowed: Iterable[int]) -> bool:
    """Whether it is one of these whole numbers; True and 1.0 equal 1 but name no file."""
    return isinstance(number, Integral) and not isinstance(number, bool) and number in allowed
