"""What must hold of SiCNN whatever the weights."""

import pytest
import torch
from properties import EXACT, assert_homogeneous, assert_translates, noise, spot
from torch.nn import functional as F

from models.reference import plain
from models.sicnn import SCALES, ColumnConv, ColumnMax, ResizedFilters, bank_size, resizing

STL_SCALES = (0.67, 1.0, 1.5)


def l1(filters):
    return filters.abs().sum(dim=(2, 3))


@pytest.mark.parametrize("index", ["ratio", "factor"])
def test_columns_have_the_norm_of_the_weight(index):
    weight = noise(3, 2, 7, 7)
    for filters in ResizedFilters(7, SCALES, index)(weight):
        torch.testing.assert_close(l1(filters), l1(weight), **EXACT)


def test_column_of_scale_1_is_the_weight():
    weight = noise(3, 2, 7, 7)
    assert torch.equal(ResizedFilters(7, SCALES, "ratio")(weight)[SCALES.index(1.0)], weight)


def test_supports_in_the_23_tap_frame():
    used = [resizing(7, scale, SCALES).abs().sum(dim=1).nonzero().flatten() for scale in SCALES]
    supports = [(int(rows.min()), int(rows.max())) for rows in used]
    assert supports == [(10, 11), (9, 12), (9, 13), (8, 14), (6, 16), (4, 19), (0, 22)]


def test_ones_resized_by_hand():
    small, same, large = ResizedFilters(3, STL_SCALES, "ratio")(torch.ones(1, 1, 3, 3, dtype=torch.float64))
    assert small[0, 0].tolist() == [[9.0]]
    assert same[0, 0].tolist() == [[1.0] * 3] * 3
    # Source indices 0, 1, 2, 2, 3 of the padded filter 0 1 1 1 0.
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[1:, 1:] = 9 / 16
    torch.testing.assert_close(large[0, 0], expected, **EXACT)


def test_a_zero_centre_gives_zero_and_not_nan():
    weight = noise(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 0
    weight.requires_grad_()
    small = ResizedFilters(3, STL_SCALES, "ratio")(weight)[0]
    small.sum().backward()
    assert small.item() == 0
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("extent", [28, 9])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_the_plain_grouped_convolution(extent, stride):
    layer = ColumnConv(4, 5, 7, SCALES, stride=stride).double()
    maps = noise(8, 7 * 4, extent, extent)
    torch.testing.assert_close(layer(maps), plain(layer, maps), **EXACT)


def test_a_column_sees_only_itself():
    layer, maps = ColumnConv(2, 3, 7, SCALES).double(), noise(1, 14, 14, 14)
    changed = maps.clone()
    changed[:, 2 * 4 : 2 * 5] += 1
    same = (layer(maps) == layer(changed)).flatten(2).all(dim=2)[0]
    assert same.tolist() == [not 3 * 4 <= channel < 3 * 5 for channel in range(21)]


def test_equal_columns_make_the_first_layer():
    first, hidden = ColumnConv(2, 3, 7, SCALES, lifting=True).double(), ColumnConv(2, 3, 7, SCALES).double()
    hidden.load_state_dict(first.state_dict())
    column = noise(2, 2, 14, 14)
    torch.testing.assert_close(hidden(column.repeat(1, 7, 1, 1)), first(column), **EXACT)


def test_1x1_filters_are_one_matrix():
    layer, column = ColumnConv(2, 3, 1, STL_SCALES, stride=2).double(), noise(2, 2, 6, 6)
    expected = F.conv2d(column, layer.weight, stride=2)
    torch.testing.assert_close(layer(column.repeat(1, 3, 1, 1)), expected.repeat(1, 3, 1, 1), **EXACT)


def test_one_scale_is_a_plain_convolution():
    layer, maps = ColumnConv(2, 3, 7, [1.0]).double(), noise(2, 2, 11, 10)
    torch.testing.assert_close(layer(maps), F.conv2d(maps, layer.weight, padding=3), **EXACT)


@pytest.mark.parametrize(("size", "scales", "stride"), [(7, SCALES, 1), (3, STL_SCALES, 2), (3, STL_SCALES, 1)])
def test_output_shape(size, scales, stride):
    full, padding = bank_size(size, scales), int(size * max(scales)) // 2
    layer = ColumnConv(1, 3, size, scales, lifting=True, stride=stride).double()
    rows, columns = ((extent + 2 * padding - full) // stride + 1 for extent in (13, 10))
    assert layer(noise(1, 1, 13, 10)).shape == (1, len(scales) * 3, rows, columns)


def test_translation_and_homogeneity():
    layer = ColumnConv(1, 2, 7, SCALES, lifting=True).double()
    assert_translates(layer, spot(1, 1, 40, 40, margin=15))
    assert_homogeneous(layer, noise(2, 1, 14, 14))


def test_column_maximum_ignores_the_order_of_columns():
    columns = noise(2, 7, 3, 4, 4)
    shuffled = columns[:, [3, 1, 0, 6, 5, 2, 4]]
    maximum = ColumnMax(7)
    assert torch.equal(maximum(columns.flatten(1, 2)), maximum(shuffled.flatten(1, 2)))
    assert maximum(columns.flatten(1, 2)).shape == (2, 3, 4, 4)
