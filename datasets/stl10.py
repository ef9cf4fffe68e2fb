"""STL-10, its labelled part (Coates, Ng, Lee 2011): 5,000 training and 8,000 test images of 96 x 96 pixels in ten classes.

Read from the four official binary files, which hold pixels column by column and labels from 1. They are looked for in the
user's folder `$BENCH_DATA` and its subfolders (`places`) and in the cache, then taken out of the official archive in the user's
folder; else that is fetched, and only these four are kept. (torchvision's own class insists on the 2.7 GB of unlabelled
images.) Nothing is used before its MD5 is found to be the published one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets import STL10_SIZES, stl10_archive
from datasets.download import md5_of
from datasets.errors import DataError
from datasets.paths import cache_folder, user_folder
from datasets.places import places

if TYPE_CHECKING:
    from torch import Tensor

IMAGES = STL10_SIZES
IMAGE_BYTES = 3 * 96 * 96
MEAN, STD = (0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)  # of the training images in [0, 1], as published
CLASS_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
FOLDER = "stl10_binary"  # as the official archive names it
MD5 = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}


def load(split: str) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, 3, 96, 96), rows before columns, and labels int64 (N,) from 0, of "train" or "test".

    Raises DataError: no such split, the files are nowhere and cannot be fetched, or are not the official ones.
    """
    import torch

    if split not in IMAGES:
        raise DataError(f"STL-10 has no split {split!r}; it has: {', '.join(IMAGES)} (and no validation part)")
    files = have([f"{split}_{kind}.bin" for kind in "Xy"])
    pixels, labels = (np.fromfile(path, dtype=np.uint8) for path in files.values())
    images = torch.from_numpy(pixels).view(-1, 3, 96, 96).mT.contiguous()
    return images, torch.from_numpy(labels).long() - 1


def fingerprint() -> str:
    """A SHA-256 (64 hex digits) over the names and MD5s of the four files. Needs no data."""
    text = "".join(f"{name} {md5}\n" for name, md5 in sorted(MD5.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def prepare(say: Callable[[str], None] = print) -> None:
    """Find the files, or fetch them, and check them all. Raises DataError."""
    have(list(MD5), say)


def find(names: Sequence[str] = tuple(MD5)) -> dict[str, Path] | None:
    """These of the files, checked, by name, from the first folder that has them all; None: there is none."""
    return _found(names, [])


def have(names: Sequence[str], say: Callable[[str], None] = print) -> dict[str, Path]:
    """The same, taken out of the user's archive or fetched where they are in no folder.

    Raises DataError: the user's folder has only some or wrong ones, and no other has them; they cannot be fetched.
    """
    problems: list[DataError] = []
    found = _found(names, problems)
    if found:
        return found
    cached = cache_folder() / FOLDER
    files = {name: cached / name for name in names}
    for archive in [path for _, place in places(stl10_archive.NAMES) for path in place.values()]:
        try:
            stl10_archive.take(archive, cached, dict.fromkeys(MD5, check), say)
            return files
        except DataError as error:
            problems.append(DataError(f"STL-10 in {archive}: {error}"))
    if problems:  # nobody who has given a folder wants 2.6 GB without having asked
        raise DataError("; ".join(map(str, problems)))
    say(f"STL-10: not in {', '.join(map(str, searched()))}; fetching the official archive (2.6 GB)")
    try:
        stl10_archive.fetch(cached, dict.fromkeys(MD5, check), say)
    except DataError as error:
        raise DataError(
            f"STL-10 could not be had ({error}); put {', '.join(MD5)} into a folder and set BENCH_DATA to it"
        ) from error
    return files


def searched() -> list[Path]:
    """Where the files are looked for: the user's folder, if there is one, and the cache."""
    user = user_folder()
    return [*([] if user is None else [user]), cache_folder() / FOLDER]


def _found(names: Sequence[str], problems: list[DataError]) -> dict[str, Path] | None:
    """As `find`; what is wrong with the user's files is added to the problems. What is wrong in the cache is made again."""
    for folder, place in places(list(MD5)):
        missing = [name for name in names if name.lower() not in place]
        if missing:
            problems.append(
                DataError(
                    f"STL-10 in {folder} lacks {', '.join(missing)}; put all of {', '.join(MD5)} there, or remove the rest"
                )
            )
            continue
        try:
            return {name: check(place[name.lower()], name) for name in names}
        except DataError as error:
            problems.append(error)
    cached = cache_folder() / FOLDER
    return {name: cached / name for name in names} if stl10_archive.are_good(cached, dict.fromkeys(names, check)) else None


def check(path: Path, name: str) -> Path:
    """The path, when the file has the size and MD5 of the official one of this name. Raises DataError."""
    try:
        status = path.stat()
        return _check(path, name, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"STL-10 file {path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=64)  # once per process for a file that does not change
def _check(path: Path, name: str, size: int, _changed: int) -> Path:
    split, _, kind = name.removesuffix(".bin").partition("_")
    expected = IMAGES[split] * (IMAGE_BYTES if kind == "X" else 1)
    if size != expected:
        raise DataError(f"STL-10 file {path} has {size} bytes, not {expected}; remove it and fetch it again")
    found = md5_of(path)
    if found != MD5[name]:
        raise DataError(f"STL-10 file {path} has MD5 {found}, not {MD5[name]}; remove it and fetch it again")
    return path
