"""The pixels of images that a run is given."""

import pytest
import torch

from bench.errors import BenchError
from bench.training.data import central


@pytest.mark.parametrize(("size", "pixels", "edge"), [(28, 24, 2), (28, 28, 0), (96, 64, 16), (28, 1, 13), (28, 25, 1)])
def test_the_middle_of_images(size: int, pixels: int, edge: int) -> None:
    images = torch.arange(size * size).view(1, 1, size, size)
    assert torch.equal(central(images, pixels), images[..., edge : edge + pixels, edge : edge + pixels])
    assert central(images, pixels).shape == (1, 1, pixels, pixels)


@pytest.mark.parametrize(("size", "pixels"), [(28, 29), (28, 64), (96, 200), (28, 0), (28, -4)])
def test_no_more_pixels_than_there_are(size: int, pixels: int) -> None:
    with pytest.raises(BenchError, match=f"central_pixels {pixels}: the images have {size} pixels; give 1 to {size}"):
        central(torch.zeros(1, 1, size, size), pixels)
