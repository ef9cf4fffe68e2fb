"""Realizations in a user's folder, compressed: taken into the cache when they are the known ones, built when they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import datasets
from datasets import hashes, mnist_scale_cache, paths

SIZES = {"train": 30, "test": 50, "validation": 20}


@pytest.fixture
def known(cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Random images are realization 0, and in the cache."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in SIZES.items():
        arrays[f"{split}_images"] = generator.integers(256, size=(count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = generator.integers(10, size=count, dtype=np.uint8)

    def expected(realization: int, split: str, test_size: int) -> tuple[str, str]:
        assert (realization, test_size) == (0, 50_000)
        return hashes.sha256(arrays[f"{split}_images"]), hashes.sha256(arrays[f"{split}_labels"])

    monkeypatch.setattr(mnist_scale_cache, "expected", expected)
    cache.mkdir()
    paths.save_arrays(mnist_scale_cache.cached_file(0, 50_000), arrays)
    return arrays


@pytest.fixture
def packed(known: dict[str, np.ndarray], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compressed file in the user's folder; the cache is empty again."""
    user = tmp_path / "user"
    user.mkdir()
    path = mnist_scale_cache.pack(0, 50_000, user)
    mnist_scale_cache.cached_file(0, 50_000).unlink()
    monkeypatch.setenv("BENCH_DATA", str(user))
    return path


def must_not_build(*arguments: object) -> None:
    raise AssertionError("built")


def test_a_packed_realization_is_used_and_cached(
    packed: Path, known: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", must_not_build)
    for split in SIZES:
        images, labels = datasets.load("mnist-scale-28", 0, split)
        assert (images[:, 0].numpy() == known[f"{split}_images"]).all()
        assert (labels.numpy() == known[f"{split}_labels"]).all()
    assert f"unpacking realization(s) 0 from {packed.parent}" in capsys.readouterr().out
    packed.unlink()
    datasets.load("mnist-scale-28", 0, "test")  # from the cache
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", ["truncated", "another pixel"])
def test_a_damaged_one_is_named_and_never_used(
    packed: Path, known: dict[str, np.ndarray], damage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage == "truncated":
        packed.write_bytes(packed.read_bytes()[:-1000])
    else:
        other = {name: array.copy() for name, array in known.items()}
        other["validation_images"][3, 14, 14] ^= 1
        np.savez_compressed(packed, **other)
    built = []
    monkeypatch.setattr(mnist_scale_cache.mnist, "load", lambda say: None)
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", lambda missing, size: built.append((missing, size)))
    mnist_scale_cache.prepare([0], 50_000)
    assert built == [([0], 50_000)]
    assert not mnist_scale_cache.cached_file(0, 50_000).exists()
    printed = capsys.readouterr().out
    assert str(packed) in printed and "building it instead" in printed


def test_a_damaged_cache_is_mended_from_the_pack(
    packed: Path, known: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", must_not_build)
    mnist_scale_cache.cached_file(0, 50_000).write_bytes(b"no archive")
    images, _ = datasets.load("mnist-scale-28", 0, "test")
    assert (images[:, 0].numpy() == known["test_images"]).all()


def test_a_damaged_cache_is_not_packed(known: dict[str, np.ndarray], cache: Path, tmp_path: Path) -> None:
    wrong = {name: array.copy() for name, array in known.items()}
    wrong["test_labels"][0] ^= 1
    paths.save_arrays(mnist_scale_cache.cached_file(0, 50_000), wrong)
    with pytest.raises(datasets.DataError, match="SHA-256"):
        mnist_scale_cache.pack(0, 50_000, tmp_path)
    assert not list(tmp_path.glob("*.npz"))


def test_the_folder_data_beside_the_packages_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setattr(paths, "PACKED", tmp_path / "data")
    assert paths.user_folder() is None
    (tmp_path / "data").mkdir()
    assert paths.user_folder() == tmp_path / "data"
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert paths.user_folder() == tmp_path


@pytest.mark.parametrize("inside", ["", "data", "equiscale", "mnist-scale", "data/equiscale"])
def test_it_is_found_in_subfolders_and_never_written_there(
    inside: str, packed: Path, known: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", must_not_build)
    place = packed.parent / inside
    place.mkdir(parents=True, exist_ok=True)
    packed = packed.rename(place / packed.name)
    before = [(path, path.stat().st_mtime_ns) for path in sorted((place).rglob("*"))]
    assert len(datasets.load("mnist-scale-28", 0, "train")[0]) == SIZES["train"]
    assert [(path, path.stat().st_mtime_ns) for path in sorted((place).rglob("*"))] == before


def test_a_damaged_one_is_passed_over_for_the_next(
    packed: Path, known: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", must_not_build)
    (packed.parent / "data").mkdir()
    (packed.parent / "data" / packed.name).write_bytes(packed.read_bytes())
    packed.write_bytes(b"<html>")
    assert len(datasets.load("mnist-scale-28", 0, "train")[0]) == SIZES["train"]
    assert f"{packed} is damaged (ValueError); trying the next" in capsys.readouterr().out


def test_the_file_itself_may_be_given(packed: Path, known: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", must_not_build)
    monkeypatch.setenv("BENCH_DATA", str(packed))
    assert len(datasets.load("mnist-scale-28", 0, "test")[0]) == SIZES["test"]
