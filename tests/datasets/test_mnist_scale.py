"""MNIST-scale is bit-identical to the published realizations. Real MNIST; the tests skip where it cannot be had."""

from __future__ import annotations

import hashlib
import io
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import hashes, mnist, mnist_scale

SIZES = {"train": 10_000, "validation": 2_000, "test": 50_000}
FOLDERS = {"train": "train", "test": "test", "validation": "val"}  # as the published code names them, in its order


def sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("realization", range(6))
@pytest.mark.parametrize("split", list(SIZES))
def test_every_published_split(published: Path, golden: dict[str, Any], realization: int, split: str) -> None:
    expected = golden["splits"][str(realization)][split]
    images, labels = datasets.load("mnist-scale-28", realization, split)
    assert images.shape == (SIZES[split], 1, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (SIZES[split],) and labels.dtype == torch.int64
    assert sha256(images) == expected["images_sha256"]
    assert sha256(labels.to(torch.uint8)) == expected["labels_sha256"]
    assert int(images.long().sum()) == expected["pixel_sum"]
    assert labels[:5].tolist() == expected["first5_label"]


@pytest.mark.parametrize("realization", range(6))
def test_the_file_holds_scales_and_sources_too(published: Path, golden: dict[str, Any], realization: int) -> None:
    with np.load(published / f"mnist-scale_10k-2k-50k_{realization}.npz", allow_pickle=False) as stored:
        for split, expected in golden["splits"][str(realization)].items():
            assert stored[f"{split}_source"][:5].tolist() == expected["first5_source_index"]
            scales = datasets.load_scales("mnist-scale-28", realization, split)
            assert np.array_equal(stored[f"{split}_scales"], scales.numpy())


@pytest.mark.parametrize("realization", range(6))
def test_scale_factors_need_no_data(golden: dict[str, Any], cache: Path, realization: int) -> None:
    for split, expected in golden["splits"][str(realization)].items():
        scales = datasets.load_scales("mnist-scale-56+", realization, split)
        assert scales.dtype == torch.float64 and scales.shape == (SIZES[split],)
        assert scales[:3].tolist() == expected["first3_scale"]
        assert float(scales.min()) >= 0.3 and float(scales.max()) < 1.0
    assert not cache.exists()


def test_the_packaged_hashes_are_the_published_ones(golden: dict[str, Any]) -> None:
    packaged = hashes.golden()
    assert packaged["mnist"] == golden["mnist_source"]
    for realization, splits in golden["splits"].items():
        found = packaged["mnist_scale"]["50000"][realization]
        assert found == {
            split: {part: entry[f"{part}_sha256"] for part in ("images", "labels")} for split, entry in splits.items()
        }


def test_the_four_tasks_share_their_images(published: Path) -> None:
    images, labels = datasets.load("mnist-scale-28", 3, "validation")
    for task in datasets.MNIST_SCALE[1:]:
        others = datasets.load(task, 3, "val")
        assert torch.equal(images, others[0]) and torch.equal(labels, others[1])


def test_what_a_caller_does_to_its_tensors_is_its_own_business(published: Path) -> None:
    images, labels = datasets.load("mnist-scale-28", 0, "validation")
    before = images.clone(), labels.clone()
    images.zero_()
    labels.zero_()
    again = datasets.load("mnist-scale-28", 0, "validation")
    assert torch.equal(again[0], before[0]) and torch.equal(again[1], before[1])


def test_loading_is_quick(published: Path) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        datasets.load("mnist-scale-28", 0, "test")
        return time.perf_counter() - started

    assert min(seconds() for _ in range(3)) < 0.5


def test_global_generators_are_left_alone(published: Path) -> None:
    import sklearn.model_selection  # noqa: F401  (importing it draws from Python's generator; using it must not)

    np.random.seed(5)
    random.seed(5)
    mnist_scale.scale_factors(1, 50_000)
    mnist_scale.split_indices(1, 50_000, mnist.load_cached().labels)
    found = np.random.random(), random.random()
    assert found == (np.random.RandomState(5).random_sample(), random.Random(5).random())


def test_the_other_split_has_its_own_sizes_and_population(published: Path) -> None:
    labels = mnist.load_cached().labels
    indices = mnist_scale.split_indices(0, 48_000, labels)
    assert {split: len(found) for split, found in indices.items()} == SIZES | {"test": 48_000}
    assert sorted(np.concatenate(list(indices.values())).tolist()) == list(range(60_000))  # all training images, once each
    for found in indices.values():
        shares = np.bincount(labels[found]) / len(found)
        np.testing.assert_allclose(shares, np.bincount(labels[:60_000]) / 60_000, atol=1e-3)
    assert not np.array_equal(indices["train"], mnist_scale.split_indices(0, 50_000, labels)["train"])


def test_a_build_that_differs_is_an_error_that_names_the_libraries(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_scale, "rescale", lambda image, _: image)
    with pytest.raises(datasets.DataError) as caught:
        mnist_scale.build(0, 50_000, mnist.load_cached())
    for name, version in (("numpy", np.__version__), ("pillow", Image.__version__)):
        assert f"{name} {version}" in str(caught.value)
    assert "scikit-learn" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_all_of_the_other_split(one_realization: Path) -> None:
    datasets.prepare(["mnist-scale-28"], test_size=48_000)
    for realization in range(6):
        for split in SIZES:
            images, labels = datasets.load("mnist-scale-28", realization, split, test_size=48_000)
            assert (sha256(images), sha256(labels.to(torch.uint8))) == hashes.expected(realization, split, 48_000)


@pytest.mark.slow
@pytest.mark.parametrize("realization", [0, 5])
def test_saved_as_png_files_it_has_the_published_checksum(published: Path, golden: dict[str, Any], realization: int) -> None:
    files: dict[str, bytes] = {}
    for split, folder in FOLDERS.items():
        images, labels = datasets.load("mnist-scale-28", realization, split)
        for image, label in zip(images[:, 0].numpy(), labels.tolist(), strict=True):
            file = io.BytesIO()
            Image.fromarray(image).save(file, format="png")
            files[f"{folder}/{label}/{len(files)}.png"] = file.getvalue()
    checksum = hashlib.md5(b"".join(files[path] for path in sorted(files))).hexdigest()
    assert checksum == golden["png_md5"][str(realization)]
