"""IDX, the file format of MNIST: two zero bytes, a type, the number of dimensions, each extent in four bytes, the values."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

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


def spellings(name: str) -> list[str]:
    """How one of the four files may be named: `-idx` or `.idx`, plain or .gz."""
    return [spelling + ending for spelling in (name, name.replace("-idx", ".idx")) for ending in ("", ".gz")]


def read_files(files: Mapping[str, Path], where: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 (70000, 28, 28) and labels uint8 (70000,), training first, of files by name under any spelling.

    Of several spellings the first that can be read. Raises DataError: a file is missing in `where`, or bad.
    """
    arrays = [_first(name, [files[spelling] for spelling in spellings(name) if spelling in files], where) for name in FILES]
    return np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2])


def read_folder(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same of the files in a folder. Raises DataError."""
    return read_files({path.name: path for path in folder.iterdir() if path.is_file()}, folder)


def unpacked(content: bytes, name: str) -> NDArray[np.uint8]:
    """The values of one of the four files, NAME.gz. Raises DataError: it is no such file."""
    return parse(_gunzipped(BytesIO(content), f"{name}.gz"), SHAPES[name], f"{name}.gz")


def _first(name: str, candidates: Sequence[Path], where: Path) -> NDArray[np.uint8]:
    problem = DataError(f"{name} is missing in {where}")
    for path in candidates:
        try:
            return parse(_read(path), SHAPES[name], path.name)
        except DataError as error:
            problem = error
    raise problem


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _gunzipped(file, path.name) if path.suffix.lower() == ".gz" else file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read ({error})") from error


def _gunzipped(file: BinaryIO, name: str) -> bytes:
    try:
        return gzip.GzipFile(fileobj=file).read(LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} cannot be read ({error})") from error


def _by(extents: tuple[int, ...]) -> str:
    return " x ".join(map(str, extents))
