"""IDX, the file format of MNIST: two zero bytes, a type, the number of dimensions, each extent in four bytes, the values."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError

UNSIGNED_BYTE = 8
SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
FILES = tuple(SHAPES)
LARGEST_FILE = 60_000 * 28 * 28 + 16


def parse(content: bytes, shape: tuple[int, ...], name: str) -> NDArray[np.uint8]:
    """The unsigned bytes, in this shape, of an IDX file. Raises DataError: it is anything else."""
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, len(shape)]):
        raise DataError(f"{name} is not an IDX file of unsigned bytes in {len(shape)} dimension(s)")
    start = 4 + 4 * len(shape)
    extents = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if extents != shape:
        raise DataError(f"{name} holds {_by(extents)} values, MNIST's has {_by(shape)}")
    wanted, found = int(np.prod(shape)), len(content) - start
    if found != wanted:
        raise DataError(f"{name} is {'truncated' if found < wanted else 'too long'}: its header promises {wanted} bytes")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def find(folder: Path, name: str) -> Path | None:
    """One of the four files under any of its usual spellings: `-idx` or `.idx`, plain or .gz."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / (spelling + ending) for spelling in spellings for ending in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def read_folder(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 (70000, 28, 28) and labels uint8 (70000,), training first. Raises DataError: a file is missing or bad."""
    arrays = list(_arrays(folder))
    return np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2])


def _arrays(folder: Path) -> Iterator[NDArray[np.uint8]]:
    for name, shape in SHAPES.items():
        path = find(folder, name)
        if path is None:
            raise DataError(f"{name} is missing in {folder}")
        yield parse(_read(path), shape, path.name)


def _read(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.read(LARGEST_FILE + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read ({error})") from error


def _by(extents: tuple[int, ...]) -> str:
    return " x ".join(map(str, extents))
