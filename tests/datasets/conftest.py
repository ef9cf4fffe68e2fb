"""Every test starts with an empty cache and no BENCH_DATA. Real data come from the user's own cache, or are fetched once."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets import hashes, idx, mnist


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / "mnist_scale_golden.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all worker processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def raw_file() -> Path:
    """The real MNIST in the user's own cache."""
    try:
        mnist.load()
    except datasets.DataError as error:
        pytest.skip(f"no MNIST: {error}")
    return mnist._cache_file()


@pytest.fixture(scope="session")
def built(raw_file: Path, shared_folder: Path) -> Path:
    """A cache in which the real code has built all six published realizations."""
    folder = shared_folder / "built"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder))
        patch.setenv("BENCH_DATA", str(folder / "none"))
        copy = folder / f"copy{os.getpid()}"
        shutil.copyfile(raw_file, copy)
        copy.replace(folder / "mnist.npz")
        datasets.prepare(datasets.MNIST_SCALE)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(folder))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return folder


@pytest.fixture
def published(built: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The built cache, in use. For reading only."""
    monkeypatch.setenv("BENCH_CACHE", str(built))
    return built


@pytest.fixture
def one_realization(built: Path, cache: Path) -> Path:
    """A cache of one's own to damage: raw MNIST and realization 0. Returns the realization's file."""
    cache.mkdir()
    name = "mnist-scale_10k-2k-50k_0.npz"
    for file in ("mnist.npz", name):
        shutil.copyfile(built / file, cache / file)
    return cache / name


@pytest.fixture(scope="session")
def blank_digits() -> mnist.Mnist:
    """Stand-ins of MNIST's size, for tests of the ways by which it comes."""
    images = np.zeros((70_000, 28, 28), dtype=np.uint8)
    images[:, 14, 14] = np.arange(70_000) % 251
    return mnist.Mnist(images, (np.arange(70_000) % 10).astype(np.uint8))


@pytest.fixture(scope="session")
def blank_files(blank_digits: mnist.Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four files of the stand-ins, compressed."""
    folder = tmp_path_factory.mktemp("blank")
    parts = (blank_digits.images[:60_000], blank_digits.labels[:60_000])
    parts += (blank_digits.images[60_000:], blank_digits.labels[60_000:])
    for (name, shape), values in zip(idx.SHAPES.items(), parts, strict=True):
        header = bytes([0, 0, 8, len(shape)]) + b"".join(extent.to_bytes(4, "big") for extent in shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + values.tobytes(), 1))
    return folder


@pytest.fixture
def blank_is_mnist(blank_digits: mnist.Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test, the known hashes are those of the stand-ins."""
    known = {
        "train_pixels_sha256": hashes.sha256(blank_digits.images[:60_000]),
        "test_pixels_sha256": hashes.sha256(blank_digits.images[60_000:]),
        "labels_sha256": hashes.sha256(blank_digits.labels),
    }
    monkeypatch.setitem(hashes.golden(), "mnist", known)
