"""What must hold of SS-CNN whatever the coefficients."""

import math

import pytest
import torch
from properties import EXACT, assert_homogeneous, assert_translates, noise, spot
from torch.nn import functional as F

from models.reference import plain
from models.ss_cnn import SIZES, SteerableConv, effective_orders, log_radial_harmonics


def norms(part):
    return part.flatten(1, 2).norm(dim=1)


@pytest.mark.parametrize("size", [3, 7, 13, 17])
def test_unit_norms_and_the_repeated_orientation(size):
    for part in log_radial_harmonics(size, (0.5, 1, 2)):
        torch.testing.assert_close(norms(part), torch.ones_like(norms(part)), **EXACT)
        torch.testing.assert_close(part[..., 8], part[..., 0], rtol=0, atol=1e-14)


def test_published_orders_and_norms():
    assert effective_orders(13, (0.5, 1, 2)) == pytest.approx([1.469178, 2.938357, 5.876713], abs=1e-6)
    # Dividing by a common norm keeps the ratio of the norms before division.
    real, imaginary = log_radial_harmonics(13, (1,), normalise="pair")
    assert (norms(imaginary) / norms(real))[0, 0].item() == pytest.approx(1.478850 / 1.391325, abs=1e-6)


def test_filters_are_even():
    for filters in SteerableConv(2, 3, SIZES[28], 11, (0.5, 1, 2)).double().filters():
        torch.testing.assert_close(filters, filters.flip(2, 3), **EXACT)


def three_times(normalise):
    """The filter of 9 pixels on every third pixel, and a third of the filter of 3 pixels: (O, C, 8) without the centre."""
    # A third size makes the disc wide enough for the corners.
    layer = SteerableConv(2, 3, (3, 9, 13), 3, (1,), normalise=normalise).double()
    small, large, _ = layer.filters()
    around = [0, 1, 2, 3, 5, 6, 7, 8]
    return large[..., 1::3, 1::3].flatten(2)[..., around], small.flatten(2)[..., around] / 3


def test_steering_is_exact_with_a_common_norm():
    torch.testing.assert_close(*three_times("pair"), **EXACT)


def test_steering_is_near_with_separate_norms():
    enlarged, expected = three_times("separate")
    error = (enlarged - expected).norm() / expected.norm()
    assert 1e-3 < error < 0.15


def test_three_pixels_span_two_dimensions():
    real, imaginary = log_radial_harmonics(3, (1,))
    torch.testing.assert_close(imaginary, -real, **EXACT)
    assert torch.linalg.matrix_rank(real.view(9, 9)).item() == 2


def test_an_impulse_shows_the_real_part():
    layer = SteerableConv(1, 1, (3,), 3, (1,), relu=False).double()
    real, _ = log_radial_harmonics(3, (1,))
    with torch.no_grad():
        layer.imaginary.zero_()
        layer.real.zero_()[..., 2] = 1
    impulse = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    impulse[0, 0, 3, 3] = 1
    torch.testing.assert_close(layer(impulse)[0, 0, 2:5, 2:5], real[0, :, :, 2], **EXACT)


def test_filters_are_turned_and_cropped_harmonics():
    layer = SteerableConv(4, 5, SIZES[28], 11, (0.5, 1, 2)).double()
    real, imaginary = log_radial_harmonics(13, (0.5, 1, 2))
    for size, filters in zip(layer.sizes, layer.filters(), strict=True):
        theta = torch.tensor(effective_orders(13, (0.5, 1, 2)), dtype=torch.float64) * math.log(size / 11)
        cos, sin = (wave[:, None, None, None] for wave in (theta.cos(), theta.sin()))
        turned = layer.real * cos + layer.imaginary * sin, -layer.real * sin + layer.imaginary * cos
        full = torch.einsum("qocb,qijb->ocij", turned[0], real) - torch.einsum("qocb,qijb->ocij", turned[1], imaginary)
        cut = (13 - size) // 2
        torch.testing.assert_close(filters, full[..., cut : 13 - cut, cut : 13 - cut], **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("extent", [14, 7])
def test_equals_the_plain_layer(extent, stride):
    layer = SteerableConv(4, 5, SIZES[28], 11, (0.5, 1, 2), stride=stride).double()
    maps = noise(8, 4, extent, extent).requires_grad_()
    parameters = [maps, layer.real, layer.imaginary]
    fast, slow = layer(maps), plain(layer, maps)
    torch.testing.assert_close(fast, slow, **EXACT)
    weight = noise(*fast.shape, seed=1)
    gradients = (torch.autograd.grad((outputs * weight).sum(), parameters) for outputs in (fast, slow))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_one_size_at_the_reference_is_a_plain_convolution():
    layer, maps = SteerableConv(2, 3, (7,), 7, (0.5, 1), relu=False).double(), noise(2, 2, 11, 10)
    real, imaginary = log_radial_harmonics(7, (0.5, 1))
    filters = torch.einsum("qocb,qijb->ocij", layer.real, real) - torch.einsum("qocb,qijb->ocij", layer.imaginary, imaginary)
    torch.testing.assert_close(layer(maps), F.conv2d(maps, filters, padding=3), **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
def test_output_shape(stride):
    layer = SteerableConv(1, 3, (3, 5, 7), 3, (1,), stride=stride).double()
    rows, columns = ((extent + 6 - 7) // stride + 1 for extent in (13, 10))
    assert layer(noise(1, 1, 13, 10)).shape == (1, 3, rows, columns)


def test_translation_homogeneity_and_the_rectifier():
    layer = SteerableConv(1, 2, SIZES[28], 11, (0.5, 1, 2), relu=False).double()
    assert_translates(layer, spot(1, 1, 40, 40, margin=15))
    maps = noise(2, 1, 14, 14)
    assert_homogeneous(layer, maps)
    linear = layer(maps)
    layer.relu = True
    assert (linear < 0).any()
    assert torch.equal(layer(maps), linear.relu())
