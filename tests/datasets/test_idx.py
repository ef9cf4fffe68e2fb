"""IDX files: the four of MNIST are read under every usual name; anything else is one DataError."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import datasets
from datasets import idx

HEADER = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3])
GOOD = HEADER + bytes(range(6))


def test_a_good_file_is_read_in_row_order() -> None:
    assert idx.parse(GOOD, (2, 3), "x").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file of unsigned bytes in 2"),
        (GOOD[:3], "not an IDX file"),
        (b"\x1f\x8b" + GOOD[2:], "not an IDX file"),
        (bytes([0, 0, 9, 2]) + GOOD[4:], "not an IDX file"),
        (bytes([0, 0, 8, 3]) + GOOD[4:], "not an IDX file"),
        (GOOD[:9], "holds 2 x 0 values, MNIST's has 2 x 3"),
        (HEADER[:7] + bytes([3]) + GOOD[8:], "holds 3 x 3 values, MNIST's has 2 x 3"),
        (GOOD[:-1], "truncated: its header promises 6 bytes"),
        (GOOD + b"!", "too long: its header promises 6 bytes"),
    ],
)
def test_each_defect_has_its_words(content: bytes, message: str) -> None:
    with pytest.raises(datasets.DataError, match=message):
        idx.parse(content, (2, 3), "some-file")


def mutations() -> st.SearchStrategy[bytes]:
    """Noise, and the good file with a piece cut out and another put in."""
    cuts = st.tuples(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=8))
    return st.binary(max_size=40) | cuts.map(lambda cut: GOOD[: cut[0]] + cut[2] + GOOD[cut[1] :])


@given(mutations())
def test_any_bytes_are_read_rightly_or_refused(content: bytes) -> None:
    try:
        array = idx.parse(content, (2, 3), "some-file")
    except datasets.DataError as error:
        assert content[:12] != HEADER or len(content) != len(GOOD)
        assert "\n" not in str(error) and "some-file" in str(error)
    else:
        assert content[:12] == HEADER
        assert array.dtype == np.uint8 and array.shape == (2, 3) and array.tobytes() == content[12:]


@given(content=mutations(), compressed=st.booleans(), cut=st.integers(0, 30))
def test_any_folder_is_one_error(content: bytes, compressed: bool, cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    data = gzip.compress(content) if compressed else content
    (folder / f"train-images-idx3-ubyte{'.gz' if compressed else ''}").write_bytes(data[: len(data) - cut])
    with pytest.raises(datasets.DataError) as caught:
        idx.read_folder(folder)
    assert "train-images-idx3-ubyte" in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_that_are_no_gzip_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(datasets.DataError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        idx.read_folder(tmp_path)


def test_a_missing_file_is_named(blank_files: Path, tmp_path: Path) -> None:
    for name in idx.FILES[:3]:
        (tmp_path / f"{name}.gz").symlink_to(blank_files / f"{name}.gz")
    with pytest.raises(datasets.DataError, match="t10k-labels-idx1-ubyte is missing"):
        idx.read_folder(tmp_path)
