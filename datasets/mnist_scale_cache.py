"""MNIST-scale in the cache: one .npz file per realization, built once under a lock, checked whenever a split is loaded.

What a user's folder holds of it, compressed (`pack`), is taken from there, checked, before anything is built.

Several realizations are built in several processes. These are plain subprocesses and not multiprocessing's, which would run
the caller's own script again in each of them. Run as a program, this file is such a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets import mnist, mnist_scale
from datasets.errors import DataError
from datasets.hashes import expected, sha256
from datasets.paths import cache_folder, save_arrays, user_folder, writing_to

if TYPE_CHECKING:
    from torch import Tensor

BUILT = "built realization"  # how a building process says that one is done

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Say = Callable[[str], None]


def load(realization: int, split: str, test_size: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, 1, 28, 28) and labels int64 (N,). Raises DataError: the data cannot be had."""
    import torch

    path = _path(realization, test_size)
    if not path.exists():
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
    if not doubt and all(_path(number, test_size).exists() for number in realizations):
        return
    with _lock(say):
        # Asked again: whoever held the lock may have built them.
        missing = [n for n in realizations if not (_is_good(n, test_size) if doubt else _path(n, test_size).exists())]
        missing = _not_unpacked(missing, test_size, say)
        if missing:
            say(f"MNIST-scale: building realization(s) {', '.join(map(str, missing))} in {cache_folder()}")
            mnist.load(say)  # fetched once, before the processes that read it from the cache
            _build_in_processes(missing, test_size)


def pack(realization: int, test_size: int, folder: Path) -> Path:
    """Write a realization of the cache, every split checked, into `folder` in 5.7 MB (50 MB in the cache); its path.

    For a user's folder elsewhere ($BENCH_DATA). bzip2 packs these images closest of the methods that numpy.load undoes: 5.7 MB
    in 1.5 s, where deflate takes 7.3 MB. Raises DataError: it is not in the cache or damaged; OSError: it cannot
    be written.
    """
    arrays = _all_splits(_path(realization, test_size), realization, test_size)
    path = folder / _name(realization, test_size)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as packed:
        for name, array in arrays.items():
            with packed.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return path


def _name(realization: int, test_size: int) -> str:
    return f"mnist-scale_10k-2k-{test_size // 1000}k_{realization}.npz"


def _path(realization: int, test_size: int) -> Path:
    return cache_folder() / _name(realization, test_size)


def _not_unpacked(realizations: Sequence[int], test_size: int, say: Say) -> list[int]:
    """Take what the user's folder holds into the cache, all its hashes checked; the realizations that it does not hold."""
    folder = user_folder()
    held = [n for n in realizations if folder is not None and (folder / _name(n, test_size)).is_file()]
    if folder is None or not held:
        return list(realizations)

    def unpack(realization: int) -> int | None:
        try:
            arrays = _all_splits(folder / _name(realization, test_size), realization, test_size)
        except DataError as error:
            say(f"{error}; building it instead")
            return None
        save_arrays(_path(realization, test_size), arrays)
        return realization

    say(f"MNIST-scale: unpacking realization(s) {', '.join(map(str, held))} from {folder}")
    with ThreadPoolExecutor(min(len(held), os.cpu_count() or 1)) as pool:  # decompressing and hashing need no interpreter
        unpacked = set(pool.map(unpack, held))
    return [n for n in realizations if n not in unpacked]


def _all_splits(path: Path, realization: int, test_size: int) -> dict[str, NDArray[np.uint8]]:
    """As `save_arrays` takes it. Raises DataError."""
    splits = {split: _read(path, realization, split, test_size) for split in mnist_scale.DRAWING_ORDER}
    return {
        f"{split}_{kind}": array
        for split, pair in splits.items()
        for kind, array in zip(("images", "labels"), pair, strict=True)
    }


def _read(path: Path, realization: int, split: str, test_size: int) -> Split:
    """Images (N, 28, 28) and labels (N,) of one split. Raises DataError: the file is damaged or not the known one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, labels = stored[f"{split}_images"], stored[f"{split}_labels"]
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise DataError(f"cache file {path} is damaged ({type(error).__name__})") from error
    if images.shape != (len(labels), 28, 28) or (sha256(images), sha256(labels)) != expected(realization, split, test_size):
        raise DataError(f"cache file {path} does not have the known SHA-256 ({split} images or labels differ)")
    return images, labels


def _is_good(realization: int, test_size: int) -> bool:
    try:
        _all_splits(_path(realization, test_size), realization, test_size)
    except DataError:
        return False
    return True


@contextmanager
def _lock(say: Say) -> Iterator[None]:
    from filelock import FileLock, Timeout

    folder = cache_folder()
    lock = FileLock(folder / "mnist-scale.lock")
    with writing_to(folder):
        try:
            lock.acquire(timeout=1)
        except Timeout:
            say(f"MNIST-scale: waiting for another process that is building in {folder}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build_in_processes(realizations: Sequence[int], test_size: int) -> None:
    from tqdm import tqdm

    count = min(len(realizations), os.cpu_count() or 1)
    shares = [realizations[first::count] for first in range(count)]
    with (
        tqdm(total=len(realizations), desc="MNIST-scale", unit="realization", disable=None) as bar,
        ThreadPoolExecutor(count) as pool,
    ):
        for _ in pool.map(lambda share: _build_share(share, test_size, bar), shares):
            pass  # raises what went wrong


def _build_share(realizations: Sequence[int], test_size: int, bar: Any) -> None:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "BENCH_CACHE": str(cache_folder())}
    # -P: a folder named datasets in the user's working directory is not this package.
    call = [sys.executable, "-P", "-m", "datasets.mnist_scale_cache", str(test_size), *map(str, realizations)]
    said = ""
    with subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            bar.update(line.startswith(BUILT))
            said = line.strip() or said
    if process.returncode != 0:
        raise DataError(f"building MNIST-scale failed (exit code {process.returncode}): {said or 'nothing was said'}")


def _build(test_size: int, realizations: Sequence[int]) -> None:
    """What a building process does."""
    source = mnist.load_cached()
    for realization in realizations:
        save_arrays(_path(realization, test_size), mnist_scale.build(realization, test_size, source))
        print(BUILT, realization, flush=True)


if __name__ == "__main__":
    try:
        _build(int(sys.argv[1]), [int(number) for number in sys.argv[2:]])
    except DataError as error:
        sys.exit(str(error))
