"""Crop, flip and cutout of whole batches against one image at a time."""

import pytest
import torch

from datasets.augment import Stl10Draws, crop_flip, cutout, draw_stl10


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def one_image(image, row, column, flip, pad):
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * pad, width + 2 * pad, dtype=image.dtype)
    padded[:, pad : pad + height, pad : pad + width] = image
    cropped = padded[:, row : row + height, column : column + width]
    return cropped.flip(2) if flip else cropped


def hide(image, row, column, side):
    image, (_, height, width) = image.clone(), image.shape
    image[
        :, max(0, row - side // 2) : min(height, row + side // 2), max(0, column - side // 2) : min(width, column + side // 2)
    ] = 0
    return image


@pytest.mark.parametrize(("extent", "pad", "side"), [(96, 12, 32), (24, 3, 8), (24, 0, 0)])
def test_equal_to_one_image_at_a_time(extent, pad, side):
    images = torch.randint(1, 256, (40, 3, extent, extent), dtype=torch.uint8, generator=generator())
    draws = draw_stl10(40, generator(1), pad=pad, extent=extent)
    # The corners and edges too, whatever was drawn.
    draws.rows[:4], draws.columns[:4] = torch.tensor([0, 0, 2 * pad, 2 * pad]), torch.tensor([0, 2 * pad, 0, 2 * pad])
    last = extent - 1
    draws.cutout_rows[:4], draws.cutout_columns[:4] = torch.tensor([0, 0, last, last]), torch.tensor([0, last, 0, last])
    cropped = crop_flip(images, draws, pad=pad)
    assert cropped.dtype == torch.uint8
    hidden = cutout(cropped.float(), draws, side=side)
    for i, image in enumerate(images):
        expected = one_image(image, draws.rows[i].item(), draws.columns[i].item(), draws.flips[i].item(), pad)
        assert torch.equal(cropped[i], expected)
        wanted = hide(expected.float(), draws.cutout_rows[i].item(), draws.cutout_columns[i].item(), side)
        assert torch.equal(hidden[i], wanted)


def test_draws_cover_their_ranges_and_repeat():
    draws, again, other = draw_stl10(5000, generator()), draw_stl10(5000, generator()), draw_stl10(5000, generator(1))
    for part, limit in (("rows", 24), ("columns", 24), ("cutout_rows", 95), ("cutout_columns", 95), ("flips", 1)):
        values = getattr(draws, part)
        assert (values.min().item(), values.max().item()) == (0, limit)
        assert abs(values.double().mean().item() - limit / 2) < 0.03 * limit
        assert torch.equal(values, getattr(again, part))
        assert not torch.equal(values, getattr(other, part))


def test_some_of_the_draws():
    draws = draw_stl10(6, generator())
    assert torch.equal(draws.take(slice(2, 4)).rows, draws.rows[2:4])
    assert torch.equal(draws.take(torch.tensor([5, 0])).flips, draws.flips[[5, 0]])
    assert isinstance(draws.to(torch.device("cpu")), Stl10Draws)
