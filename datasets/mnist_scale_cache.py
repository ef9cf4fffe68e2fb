"""MNIST-scale in the cache: one .npz file per realization, built once under a lock, checked whenever a split is loaded.

What a user's folder holds of it, compressed (`pack`), is taken from there, checked, before anything is built.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets import mnist, mnist_scale
from datasets.errors import DataError
from datasets.hashes import expected, sha256
from datasets.locks import held
from datasets.mnist_scale_build import build_in_processes, cached_file, file_name, import_packages
from datasets.paths import cache_folder, check_writable, is_file, save_arrays
from datasets.places import places

if TYPE_CHECKING:
    from torch import Tensor

REALIZATION_BYTES = 50_000_000

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Say = Callable[[str], None]


def load(realization: int, split: str, test_size: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, 1, 28, 28) and labels int64 (N,). Raises DataError: the data are unavailable."""
    import torch

    path = cached_file(realization, test_size)
    if not is_file(path):
        prepare([realization], test_size)
    try:
        images, labels = _read(path, realization, split, test_size)
    except DataError as error:
        print(f"{error}; building it again")
        prepare([realization], test_size, doubt=True)
        images, labels = _read(path, realization, split, test_size)
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels).long()


def load_scales(realization: int, split: str, test_size: int) -> Tensor:
    """The scale factor of every image, float64 (N,). Drawn again from the seed, so nothing on disk can falsify them."""
    import torch

    return torch.from_numpy(mnist_scale.scale_factors(realization, test_size)[split])


def load_originals(realization: int, split: str, test_size: int) -> tuple[Tensor, Tensor]:
    """The digits of a split before they were rescaled, in the split's order; as `load`. Raises DataError."""
    import torch

    source = mnist.load()
    indices = mnist_scale.split_indices(realization, test_size, source.labels)[split]
    labels = source.labels[indices]
    if sha256(labels) != expected(realization, split, test_size)[1]:
        raise DataError(f"the {split} split of realization {realization} is not drawn as published; `make env` mends that")
    return torch.from_numpy(source.images[indices])[:, None], torch.from_numpy(labels).long()


def prepare(realizations: Sequence[int], test_size: int, say: Say = print, *, doubt: bool = False) -> None:
    """Have the realizations that the cache lacks, or, in `doubt`, those that it lacks or holds damaged. Raises DataError."""
    if not doubt and all(_is_there(number, test_size) for number in realizations):
        return
    cache = cache_folder()
    check_writable(cache, REALIZATION_BYTES * len(realizations))
    with held(cache / "mnist-scale.lock", "MNIST-scale", "building", say):
        # Asked again: whoever held the lock may have built them.
        missing = [n for n in realizations if not _is_there(n, test_size, whole=doubt)]
        missing = _not_unpacked(missing, test_size, say)
        if missing:
            import_packages()
            say(f"MNIST-scale: building realization(s) {', '.join(map(str, missing))} in {cache}")
            mnist.load(say)  # fetched once, before the processes that read it from the cache
            build_in_processes(missing, test_size)


def pack(realization: int, test_size: int, folder: Path) -> Path:
    """Write a realization of the cache, every split checked, into `folder` in 5.7 MB (50 MB in the cache); its path.

    For a user's folder elsewhere ($BENCH_DATA). bzip2 packs these images closest of the methods that numpy.load undoes: 5.7 MB
    in 1.5 s, where deflate takes 7.3 MB. Raises DataError: it is not in the cache or damaged; OSError: it cannot
    be written.
    """
    arrays = _all_splits(cached_file(realization, test_size), realization, test_size)
    path = folder / file_name(realization, test_size)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as packed:
        for name, array in arrays.items():
            with packed.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return path


def at_hand(realization: int, test_size: int) -> bool:
    """Whether the cache has its file and the digits that it was made from."""
    return is_file(cached_file(realization, test_size)) and is_file(cache_folder() / mnist.NPZ)


def _is_there(realization: int, test_size: int, *, whole: bool = False) -> bool:
    """Whether the cache has its file; `whole`: and every split in it has the known hashes."""
    path = cached_file(realization, test_size)
    try:
        return is_file(path) and (not whole or bool(_all_splits(path, realization, test_size)))
    except DataError:
        return False


def _not_unpacked(realizations: Sequence[int], test_size: int, say: Say) -> list[int]:
    """Take what the user's folder holds into the cache, all its hashes checked; the realizations that it does not hold."""
    names = {file_name(number, test_size): number for number in realizations}
    held_in: dict[int, list[Path]] = {}
    for _, place in places(list(names)):
        for name, path in place.items():
            held_in.setdefault(names[name], []).append(path)
    if not held_in:
        return list(realizations)
    stop = Event()

    def unpack(realization: int) -> int | None:
        for path in held_in[realization]:
            try:
                arrays = _all_splits(path, realization, test_size, stop)
            except DataError as error:
                if stop.is_set():
                    return None
                say(f"{error}; {'building it instead' if path is held_in[realization][-1] else 'trying the next'}")
            else:
                save_arrays(cached_file(realization, test_size), arrays)
                return realization
        return None

    folders = dict.fromkeys(str(path.parent) for paths in held_in.values() for path in paths)
    say(f"MNIST-scale: unpacking realization(s) {', '.join(map(str, sorted(held_in)))} from {', '.join(folders)}")
    # Threads: decompressing and hashing need no interpreter.
    with ThreadPoolExecutor(min(len(held_in), os.cpu_count() or 1)) as pool:
        try:
            unpacked = set(pool.map(unpack, sorted(held_in)))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [n for n in realizations if n not in unpacked]


def _all_splits(path: Path, realization: int, test_size: int, stop: Event | None = None) -> dict[str, NDArray[np.uint8]]:
    """As `save_arrays` takes it. Raises DataError."""
    splits = {split: _read(path, realization, split, test_size, stop) for split in mnist_scale.DRAWING_ORDER}
    return {
        f"{split}_{kind}": array
        for split, pair in splits.items()
        for kind, array in zip(("images", "labels"), pair, strict=True)
    }


class _Stoppable(FileIO):
    """A file that can be read until another thread says to stop."""

    stop: Event | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """As FileIO. Raises InterruptedError."""
        if self.stop and self.stop.is_set():
            raise InterruptedError
        return super().read(-1 if size is None else size)


def _read(path: Path, realization: int, split: str, test_size: int, stop: Event | None = None) -> Split:
    """Images (N, 28, 28) and labels (N,) of one split. Raises DataError: the file is damaged or not the known one."""
    try:
        with _Stoppable(path) as file:
            file.stop = stop
            with np.load(file, allow_pickle=False) as stored:
                images, labels = stored[f"{split}_images"], stored[f"{split}_labels"]
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise DataError(f"cache file {path} is damaged ({type(error).__name__})") from error
    if images.shape != (len(labels), 28, 28) or (sha256(images), sha256(labels)) != expected(realization, split, test_size):
        raise DataError(f"cache file {path} does not have the known SHA-256 ({split} images or labels differ)")
    return images, labels
