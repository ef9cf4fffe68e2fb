"""What of the data lies here already. Nothing is fetched, built, hashed or written; their content is not looked at."""

from __future__ import annotations

from pathlib import Path

from datasets import REALIZATIONS, TEST_SIZES, idx, mnist, stl10, stl10_archive
from datasets.mnist_scale_build import file_name
from datasets.paths import cache_place, is_file, user_folder
from datasets.places import places


def realizations() -> list[int]:
    """Those of MNIST-scale, of the published split, that are built, in the cache or the user's folder. Raises DataError."""
    names = {file_name(number, TEST_SIZES[0]): number for number in range(REALIZATIONS)}
    cached = {number for name, number in names.items() if is_file(cache_place() / name)}
    packed = {number for _, place in places(list(names)) for name, number in names.items() if name in place}
    return sorted(cached | packed)


def raw_mnist() -> Path | None:
    """Where the digits are that MNIST-scale is built from. Raises DataError."""
    if is_file(cache_place() / mnist.NPZ):
        return cache_place() / mnist.NPZ
    for folder, place in places([mnist.NPZ, *(spelling for name in idx.FILES for spelling in idx.spellings(name))]):
        if mnist.NPZ in place or all({word.lower() for word in idx.spellings(name)} & {*place} for name in idx.FILES):
            return folder
    return None


def stl10_files() -> Path | None:
    """Where STL-10's four files are, or the archive with them. Raises DataError."""
    cached = cache_place() / stl10.FOLDER
    if all(is_file(cached / name) for name in stl10.MD5):
        return cached
    wanted = {name.lower() for name in stl10.MD5}
    found = [folder for folder, place in places(list(stl10.MD5)) if wanted <= {*place}]
    found += [folder for folder, _ in places(stl10_archive.NAMES)]
    return found[0] if found else None


def searched() -> list[Path]:
    """Where all of them are looked for. Raises DataError."""
    user = user_folder()
    return [*([] if user is None else [user]), cache_place()]
