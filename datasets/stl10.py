"""STL-10, its labelled part (Coates, Ng, Lee 2011): 5,000 training and 8,000 test images of 96 x 96 pixels in ten classes.

Read from the four official binary files, which hold pixels column by column and labels from 1. They are looked for in the
user's folder `$BENCH_DATA`, in its subfolder `stl10_binary` and in the cache; else the official archive is fetched, and only
these four are kept. (torchvision's own class insists on the 2.7 GB of unlabelled images.) Nothing is used before its MD5 is
found to be the published one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets import STL10_SIZES
from datasets.errors import DataError
from datasets.paths import cache_folder, user_folder

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
    folder = find() or _fetched(print)
    pixels, labels = (np.fromfile(check(folder / f"{split}_{kind}.bin"), dtype=np.uint8) for kind in "Xy")
    images = torch.from_numpy(pixels).view(-1, 3, 96, 96).mT.contiguous()
    return images, torch.from_numpy(labels).long() - 1


def fingerprint() -> str:
    """A SHA-256 (64 hex digits) over the names and MD5s of the four files. Needs no data."""
    text = "".join(f"{name} {md5}\n" for name, md5 in sorted(MD5.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def prepare(say: Callable[[str], None] = print) -> None:
    """Find the files, or fetch them, and check them all. Raises DataError."""
    folder = find() or _fetched(say)
    for name in MD5:
        check(folder / name)


def searched() -> list[Path]:
    """The folders in which the files may lie."""
    user = user_folder()
    return [*([] if user is None else [user, user / FOLDER]), cache_folder() / FOLDER]


def find() -> Path | None:
    """The first folder that holds all four files; None: there is none. Raises DataError: a folder holds some of them."""
    for folder in searched():
        missing = [name for name in MD5 if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(MD5):
            raise DataError(
                f"STL-10 in {folder} lacks {', '.join(missing)}; put all of {', '.join(MD5)} there, or remove the rest"
            )
    return None


def check(path: Path) -> Path:
    """The path, when the file has its official size and MD5. Raises DataError."""
    try:
        status = path.stat()
        return _check(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"STL-10 file {path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=64)  # once per process for a file that does not change
def _check(path: Path, size: int, _changed: int) -> Path:
    split, _, kind = path.stem.partition("_")
    expected = IMAGES[split] * (IMAGE_BYTES if kind == "X" else 1)
    if size != expected:
        raise DataError(f"STL-10 file {path} has {size} bytes, not {expected}; remove it and fetch it again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5[path.name]:
        raise DataError(f"STL-10 file {path} has MD5 {found}, not {MD5[path.name]}; remove it and fetch it again")
    return path


def _fetched(say: Callable[[str], None]) -> Path:
    from datasets import stl10_archive

    places = ", ".join(map(str, searched()))
    say(f"STL-10: not in {places}; fetching the official archive (2.6 GB)")
    folder = cache_folder() / FOLDER
    try:
        stl10_archive.fetch(folder, dict.fromkeys(MD5, check), say)
    except DataError as error:
        raise DataError(
            f"STL-10 could not be had ({error}); put {', '.join(MD5)} into a folder and set BENCH_DATA to it"
        ) from error
    return folder
