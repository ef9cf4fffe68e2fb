"""Batched rescaling equals Pillow's, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import augment
from datasets.augment import CHUNK, draw_scales, scale_affine
from datasets.mnist import load_cached


def by_pillow(images: np.ndarray, scales: np.ndarray, centre: float) -> np.ndarray:
    results = []
    for image, scale in zip(images, scales, strict=True):
        a = 1 / float(scale)
        c = ((a * -centre) + (0 * -centre)) + centre
        rescaled = Image.fromarray(image).transform(image.shape[::-1], Image.AFFINE, (a, 0, c, 0, a, c), Image.BICUBIC)
        results.append(np.asarray(rescaled))
    return np.stack(results)


def in_a_batch(images: np.ndarray, scales: np.ndarray, centre: float) -> np.ndarray:
    return scale_affine(torch.from_numpy(images)[:, None], torch.from_numpy(scales), centre=centre)[:, 0].numpy()


def random_images(kind: str, count: int, generator: np.random.Generator, side: int = 28) -> np.ndarray:
    if kind == "noise":
        return generator.integers(0, 256, (count, side, side), dtype=np.uint8)
    if kind == "black and white":
        return generator.integers(0, 2, (count, side, side), dtype=np.uint8) * np.uint8(255)
    grey = generator.integers(0, 256, (count, 1, 1), dtype=np.uint8)
    return np.tile(grey, (1, side, side))


@pytest.mark.parametrize("centre", [14.5, 14.0])
@pytest.mark.parametrize(("low", "high"), [(0.3, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("kind", ["noise", "black and white", "flat"])
def test_synthetic_images_equal_pillow(kind: str, low: float, high: float, centre: float) -> None:
    generator = np.random.default_rng(7)
    images, scales = random_images(kind, 500, generator), generator.uniform(low, high, 500)
    np.testing.assert_array_equal(in_a_batch(images, scales, centre), by_pillow(images, scales, centre))


@pytest.mark.parametrize(("low", "high"), [(0.3, 1.0), (0.5, 2.0)])
def test_digits_equal_pillow(published: object, low: float, high: float) -> None:
    generator = np.random.default_rng(8)
    images, scales = load_cached().images[::35], generator.uniform(low, high, 2000)
    batch = scale_affine(torch.from_numpy(images)[:, None], torch.from_numpy(scales))  # about 14.5, unless told otherwise
    np.testing.assert_array_equal(batch[:, 0].numpy(), by_pillow(images, scales, 14.5))


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(0.3, 1.0), (0.5, 2.0)])
def test_all_digits_equal_pillow(published: object, low: float, high: float) -> None:
    generator = np.random.default_rng(9)
    images, scales = load_cached().images, generator.uniform(low, high, 70_000)
    np.testing.assert_array_equal(in_a_batch(images, scales, 14.5), by_pillow(images, scales, 14.5))


# The last one has a pixel that looks exactly at the image's edge, position 0.
@pytest.mark.parametrize("scale", [0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.8, 1.0, 1.25, 4 / 3, 1.5, 2.0, 28.0, 0.01, 1 / 14.5])
def test_ties_round_as_in_pillow(scale: float) -> None:
    images = random_images("noise", 60, np.random.default_rng(10))
    scales = np.full(60, scale)
    np.testing.assert_array_equal(in_a_batch(images, scales, 14.5), by_pillow(images, scales, 14.5))


@pytest.mark.parametrize("side", [1, 2, 5, 56])
def test_other_sides_equal_pillow(side: int) -> None:
    generator = np.random.default_rng(11)
    images, scales = random_images("noise", 200, generator, side), generator.uniform(0.3, 2.0, 200)
    np.testing.assert_array_equal(in_a_batch(images, scales, side / 2), by_pillow(images, scales, side / 2))


@pytest.mark.parametrize("kind", ["noise", "black and white", "flat"])
def test_what_a_gpu_does_gives_the_same_pixels_here(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(15)
    images, scales = random_images(kind, 500, generator), generator.uniform(0.3, 2.0, 500)
    by_products = in_a_batch(images, scales, 14.5)
    monkeypatch.setattr(augment, "_by_products", augment._in_order)
    np.testing.assert_array_equal(in_a_batch(images, scales, 14.5), by_products)


def test_golden_sums_and_rows(golden: dict[str, Any]) -> None:
    y, x = np.mgrid[:28, :28]
    image = ((9 * x + 5 * y + x * y) % 256).astype(np.uint8)
    cases = golden["affine"]["cases"]
    assert {case["centre"] for case in cases} == {"centre_14.5", "centre_14.0"}
    for case in cases:
        result = in_a_batch(image[None], np.array([case["scale"]]), float(case["centre"].removeprefix("centre_")))[0]
        assert result[14].tolist() == case["row14"], case["scale"]
        assert (int(result.sum()), int((result.astype(np.int64) ** 2).sum())) == (case["sum"], case["sumsq"])


def test_factor_one_changes_nothing_and_the_input_stays_whole() -> None:
    images = torch.from_numpy(random_images("noise", 3, np.random.default_rng(12)))[:, None]
    before = images.clone()
    assert torch.equal(scale_affine(images, torch.ones(3, dtype=torch.float64)), before)
    scale_affine(images, torch.full((3,), 0.5, dtype=torch.float64))
    assert torch.equal(images, before)


def test_chunks_are_invisible() -> None:
    generator = np.random.default_rng(13)
    count = 2 * CHUNK + 3
    images = torch.from_numpy(random_images("noise", count, generator))[:, None]
    scales = torch.from_numpy(generator.uniform(0.5, 2.0, count))
    whole = scale_affine(images, scales)
    for start in (0, CHUNK - 1, 2 * CHUNK):
        part = slice(start, start + 3)
        assert torch.equal(whole[part], scale_affine(images[part], scales[part]))


def test_no_images_give_no_images() -> None:
    empty = scale_affine(torch.zeros(0, 1, 28, 28, dtype=torch.uint8), torch.zeros(0, dtype=torch.float64))
    assert empty.shape == (0, 1, 28, 28) and empty.dtype == torch.uint8


@pytest.mark.parametrize(
    ("images", "scales"),
    [
        (torch.zeros(2, 1, 28, 28), torch.ones(2)),
        (torch.zeros(2, 28, 28, dtype=torch.uint8), torch.ones(2)),
        (torch.zeros(2, 1, 28, 27, dtype=torch.uint8), torch.ones(2)),
        (torch.zeros(2, 3, 28, 28, dtype=torch.uint8), torch.ones(2)),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.ones(3)),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor(0.5)),
    ],
)
def test_other_tensors_are_refused(images: torch.Tensor, scales: torch.Tensor) -> None:
    with pytest.raises(datasets.DataError, match=r"takes uint8 images \(N, 1, H, H\)"):
        scale_affine(images, scales)


def test_draws_are_uniform_in_the_factor_and_repeatable() -> None:
    first = draw_scales(20_000, 0.5, 2.0, torch.Generator().manual_seed(3))
    assert first.dtype == torch.float64 and first.shape == (20_000,)
    assert 0.5 <= float(first.min()) < 0.51 and 1.99 < float(first.max()) <= 2.0
    # Uniform in the factor: mean 1.25. Uniform in its logarithm the mean would be 1.08. (Standard error 0.003.)
    assert float(first.mean()) == pytest.approx(1.25, abs=0.015)
    assert torch.equal(first, draw_scales(20_000, 0.5, 2.0, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, draw_scales(20_000, 0.5, 2.0, torch.Generator().manual_seed(4)))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_pixels() -> None:
    generator = np.random.default_rng(14)
    images = torch.from_numpy(random_images("noise", 5000, generator))[:, None]
    scales = torch.from_numpy(generator.uniform(0.3, 2.0, 5000))
    assert torch.equal(scale_affine(images.cuda(), scales).cpu(), scale_affine(images, scales))
