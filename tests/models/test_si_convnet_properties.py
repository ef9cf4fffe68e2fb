"""What must hold of SI-ConvNet whatever the weights."""

import pytest
import torch
from properties import EXACT, assert_homogeneous, bumps, noise
from torch.nn import functional as F

from models.layers.conv.resampled import _in_fourier_domain, resampled_conv2d_direct
from models.reference import plain
from models.si_convnet import SCALES, ScaleInvariantConv, rescaled_axis


@pytest.mark.parametrize(("size", "scales", "stride"), [(7, SCALES, 1), (3, (0.5, 1.0, 2.0), 2), (3, (0.6, 1.4), 1)])
@pytest.mark.parametrize("extents", [(28, 28), (14, 17), (7, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_plain_layer(size, scales, stride, extents, bias):
    layer = ScaleInvariantConv(3, 4, size, scales, stride=stride, bias=bias).double()
    maps = noise(6, 3, *extents).requires_grad_()
    parameters = [maps, *layer.parameters()]
    fast, slow = layer(maps), plain(layer, maps)
    torch.testing.assert_close(fast, slow, **EXACT)
    weight = noise(*fast.shape, seed=1)
    gradients = (torch.autograd.grad((outputs * weight).sum(), parameters) for outputs in (fast, slow))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("extent", "taps"), [(28, 7), (14, 7), (7, 7), (56, 3)])
def test_both_paths_of_the_resampled_convolution_agree(scale, extent, taps):
    axis, maps, filters = rescaled_axis(extent, scale, taps, 1), noise(2, 3, extent, extent), noise(4, 3, taps, taps, seed=1)
    direct = resampled_conv2d_direct(maps, filters, axis, axis)
    torch.testing.assert_close(_in_fourier_domain(maps, filters, axis, axis), direct, rtol=1e-12, atol=1e-11)


def test_order_and_number_of_scales():
    layer, shuffled, fewer = (ScaleInvariantConv(2, 3, 7, scales) for scales in (SCALES, SCALES[::-1], SCALES[1:5]))
    for other in (shuffled, fewer):
        other.load_state_dict(layer.state_dict())
    maps = noise(2, 2, 28, 28)
    responses = layer.double()(maps)
    torch.testing.assert_close(responses, shuffled.double()(maps), **EXACT)
    assert (responses >= fewer.double()(maps) - 1e-12).all()
    assert (responses >= F.conv2d(maps, layer.weight, padding=3) - 1e-12).all()


def test_a_constant_bias_on_an_empty_image():
    layer = ScaleInvariantConv(1, 1, 7, SCALES, bias=True).double()
    empty = torch.zeros(1, 1, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        layer.bias.fill_(0.5)
        torch.testing.assert_close(layer(empty), torch.full_like(empty, 0.5), **EXACT)
        layer.bias.fill_(-0.5)
        expected = torch.zeros_like(empty)
        expected[..., 10:18, 10:18] = -0.5  # floor(28 / 3.33) = 8 central pixels
        torch.testing.assert_close(layer(empty), expected, **EXACT)


def laplacian_of_gaussian(std):
    t = torch.arange(7, dtype=torch.float64) - 3
    squared = (t[:, None] ** 2 + t**2) / std**2
    filters = (2 - squared) * torch.exp(-squared / 2)
    return (filters - filters.mean())[None, None]


@pytest.mark.parametrize("std", [1.2, 1.5])
def test_a_magnified_image_gives_the_magnified_response(std):
    ratio, extent, margin = 1.49, 97, 30
    image, magnified = bumps(extent, 2.0), bumps(extent, 2.0, ratio)
    # Magnify about the centre: position c + (i - c) / ratio, read bilinearly.
    places = (torch.arange(extent, dtype=torch.float64) - 48) / ratio / 48
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)[None]
    errors = []
    for scales in (SCALES, [1.0]):
        layer = ScaleInvariantConv(1, 1, 7, scales).double()
        with torch.no_grad():
            layer.weight.copy_(laplacian_of_gaussian(std))
        expected = F.grid_sample(layer(image), grid, align_corners=True)[..., margin:-margin, margin:-margin]
        found = layer(magnified)[..., margin:-margin, margin:-margin]
        errors.append(((found - expected).norm() / expected.norm()).item())
    assert errors[0] < 0.5
    assert errors[0] < errors[1]


def test_one_scale_is_a_plain_convolution():
    layer, maps = ScaleInvariantConv(2, 3, 7, [1.0], bias=True).double(), noise(2, 2, 11, 10)
    torch.testing.assert_close(layer(maps), F.conv2d(maps, layer.weight, layer.bias, padding=3), **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
def test_output_shape_and_homogeneity(stride):
    layer, maps = ScaleInvariantConv(1, 3, 7, SCALES, stride=stride).double(), noise(1, 1, 15, 10)
    assert layer(maps).shape == (1, 3, (15 - 1) // stride + 1, (10 - 1) // stride + 1)
    assert_homogeneous(layer, maps)
