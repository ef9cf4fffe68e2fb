"""Finding files in the user's folder by the layouts that people have, without walking through all of a disk.

A few levels of folders are looked into, by name: torchvision's (MNIST/raw, stl10_binary), Kaggle's (archive, and a folder for
each file, named like it), those of other frameworks. Small and capital letters are not told apart. What is found this way is a
candidate; its content decides.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from datasets.paths import is_file, is_folder, user_folder

OWN = ("mnist", "raw", "stl10", "stl10_binary")  # given such a folder, those around it are looked into as well
INSIDE = (
    *OWN,
    *("mnist_data", "mnist-dataset", "mnist_dataset", "mnist-data", "stl-10", "stl10-binary", "stl_10"),
    *("mnist-scale", "mnist_scale", "equiscale", "scalebench", "archive", "data", "datasets", "dataset", "torchvision"),
)
DEPTH = 3

Place = dict[str, Path]


def places(names: Collection[str]) -> Iterator[tuple[Path, Place]]:
    """The user's folders that hold any file of these names, nearest first, and its files by name in small letters."""
    base = user_folder()
    if base is None:
        return
    seen: set[Path] = set()
    for root in _roots(base):
        level = [root]
        for _ in range(DEPTH + 1):
            below: list[Path] = []
            for folder in level:
                if folder in seen:
                    continue
                seen.add(folder)
                found, inside = _look(folder, {name.lower() for name in names})
                below += inside
                if found:
                    yield folder, found
            level = below


def _roots(base: Path) -> Iterator[Path]:
    yield base
    while base.name.lower() in OWN:
        base = base.parent
        yield base


def _look(folder: Path, names: Collection[str]) -> tuple[Place, list[Path]]:
    """The files of these names in a folder, and the folders in which to go on. What cannot be read holds nothing."""
    found: Place = {}
    inside: list[Path] = []
    for path in _named(folder, {*names, *INSIDE}):
        name = path.name.lower()
        if is_file(path):
            found[name] = path
        elif name in names:
            found = {path.name.lower(): path for path in _named(path, names) if is_file(path)} | found
        elif is_folder(path):
            inside.append(path)
    return found, sorted(inside, key=lambda path: INSIDE.index(path.name.lower()))


def _named(folder: Path, names: Collection[str]) -> list[Path]:
    """What has one of these names, capital letters first."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.name.lower() in names)
    return []
