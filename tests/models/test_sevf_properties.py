"""What must hold of SEVF whatever the weights."""

import math

import pytest
import torch
from properties import EXACT, assert_homogeneous, bumps, noise
from torch import nn
from torch.nn import functional as F

from models.layers.conv.resampled import _in_fourier_domain, resampled_conv2d_direct
from models.reference import plain, resized
from models.sevf import (
    ANGLES,
    FACTORS,
    LEVELS,
    ImageToLengthConv,
    ImageToVectorConv,
    VectorBatchNorm,
    VectorConv,
    VectorMaxPool,
    length,
    resized_axis,
)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (ImageToVectorConv(3, 4, 7), (6, 3, 28, 28)),
        (ImageToVectorConv(3, 4, 7), (6, 3, 7, 7)),
        (ImageToVectorConv(3, 4, 3, stride=2), (2, 3, 14, 12)),
        (ImageToLengthConv(3, 4, 7), (6, 3, 14, 14)),
        (VectorConv(3, 4, 7), (6, 2, 3, 14, 17)),
        (VectorConv(3, 4, 7, sign="corrected"), (6, 2, 3, 7, 7)),
    ],
)
def test_equals_the_plain_layer(layer, shape):
    layer.double()
    maps = noise(*shape).requires_grad_()
    parameters = [maps, *layer.parameters()]
    fast, slow = layer(maps), plain(layer, maps)
    torch.testing.assert_close(fast, slow, **EXACT)
    weight = noise(*fast.shape, seed=1)
    gradients = (torch.autograd.grad((outputs * weight).sum(), parameters) for outputs in (fast, slow))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("extent", "taps"), [(28, 7), (14, 7), (7, 7), (56, 3)])
def test_both_paths_of_the_resampled_convolution_agree(factor, extent, taps):
    axis, maps, filters = resized_axis(extent, factor, taps, 1), noise(2, 3, extent, extent), noise(4, 3, taps, taps, seed=1)
    direct = resampled_conv2d_direct(maps, filters, axis, axis)
    torch.testing.assert_close(_in_fourier_domain(maps, filters, axis, axis), direct, rtol=1e-12, atol=1e-11)


def test_levels():
    published = [0.396751, 0.499906, 0.629882, 0.793651, 1, 1.26, 1.5876, 2.000376]
    assert pytest.approx(published, abs=1e-6) == list(FACTORS)
    assert [angle / level for level, angle in zip(LEVELS, ANGLES, strict=True) if level] == pytest.approx([0.2991993] * 7)
    assert [round(28 * factor) for factor in FACTORS] == [11, 14, 18, 22, 28, 35, 44, 56]


def test_angles_are_those_of_the_levels_and_lengths_are_responses():
    layer, image = ImageToVectorConv(1, 3, 7).double(), noise(2, 1, 28, 28)
    u, v = layer(image).unbind(1)
    responses = torch.stack([resized(image, layer.weight, factor, 1) for factor in FACTORS])
    torch.testing.assert_close(torch.hypot(u, v), responses.amax(0).relu(), **EXACT)
    positive = torch.hypot(u, v) > 1e-9
    distance = (torch.atan2(v, u)[positive][:, None] - torch.tensor(ANGLES, dtype=torch.float64)).abs().amin(dim=1)
    assert positive.any()
    assert distance.max() < 1e-6


@pytest.mark.parametrize("stride", [1, 2])
def test_the_scalar_layer_gives_the_lengths(stride):
    vectors, lengths = (kind(2, 3, 7, stride=stride).double() for kind in (ImageToVectorConv, ImageToLengthConv))
    lengths.load_state_dict(vectors.state_dict())
    image, weight = noise(2, 2, 14, 14), noise(2, 3, 14 // stride, 14 // stride, seed=1)
    torch.testing.assert_close(lengths(image), length(vectors(image)), **EXACT)
    gradients = [
        torch.autograd.grad((out * weight).sum(), layer.weight)[0]
        for out, layer in ((lengths(image), lengths), (length(vectors(image)), vectors))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_one_level_is_a_plain_convolution():
    layer, image = ImageToVectorConv(2, 3, 7, [1.0], [0.0]).double(), noise(2, 2, 11, 10)
    u, v = layer(image).unbind(1)
    torch.testing.assert_close(u, F.conv2d(image, layer.weight, padding=3).relu(), **EXACT)
    assert not v.any()


def laplacian_of_gaussian(std):
    t = torch.arange(7, dtype=torch.float64) - 3
    squared = (t[:, None] ** 2 + t**2) / std**2
    filters = (2 - squared) * torch.exp(-squared / 2)
    return (filters - filters.mean())[None, None]


def test_shrinking_by_one_step_turns_the_vectors_by_one_angle():
    layer = ImageToVectorConv(1, 1, 7).double()
    with torch.no_grad():
        layer.weight.copy_(laplacian_of_gaussian(1.3))
    turns = []
    for shrink in (1, 1 / 1.26):
        image = bumps(97, 1.6, shrink)
        u, v = layer(image)[..., 36:61, 36:61].unbind(1)
        strong = torch.hypot(u, v) > 0.3 * torch.hypot(u, v).max()
        turns.append((torch.atan2(v, u)[strong] / ANGLES[-3]).mean().item())  # in levels
    assert 0.5 < turns[1] - turns[0] < 2


def test_a_constant_image_has_the_constant_length():
    layer = ImageToVectorConv(1, 1, 7).double()
    with torch.no_grad():
        layer.weight.abs_()
    lengths = length(layer(torch.full((1, 1, 40, 40), 3.0, dtype=torch.float64)))[..., 12:-12, 12:-12]
    torch.testing.assert_close(lengths, (3 * layer.weight.sum()).expand_as(lengths), **EXACT)


def test_normalisation_changes_only_lengths():
    vectors, layer = noise(4, 2, 3, 5, 6), VectorBatchNorm(3).double()
    normalised = layer(vectors)
    (u, v), (x, y) = vectors.unbind(1), normalised.unbind(1)
    torch.testing.assert_close(u * y, v * x, **EXACT)
    assert (u * x >= 0).all()
    variance = length(vectors).var(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(length(normalised).var(dim=(0, 2, 3), correction=0), variance / (variance + 1e-5), **EXACT)


def test_pooling_returns_the_longest_vector_of_the_window():
    vectors, pool = noise(2, 2, 3, 8, 8), nn.MaxPool2d(4, padding=2)
    pooled = VectorMaxPool(pool)(vectors)
    torch.testing.assert_close(length(pooled), pool(length(vectors)), **EXACT)
    given = {tuple(vector) for vector in vectors.transpose(1, 2).flatten(3).transpose(2, 3).reshape(-1, 2).tolist()}
    assert {tuple(vector) for vector in pooled.transpose(1, 2).flatten(3).transpose(2, 3).reshape(-1, 2).tolist()} <= given


def test_gradients_at_zero_vectors_are_zero():
    vectors = noise(1, 2, 1, 2, 2)
    vectors[..., 0] = 0
    vectors.requires_grad_()
    length(vectors).sum().backward()
    assert not vectors.grad[..., 0].any()
    torch.testing.assert_close(vectors.grad[..., 1].norm(dim=1), torch.ones(1, 1, 2, dtype=torch.float64), **EXACT)


def test_the_sign_of_the_turn():
    """Vectors turned by one angle meet filters turned by one angle only with the corrected sign."""
    vectors, theta = noise(1, 2, 2, 14, 14), ANGLES[5]
    u, v = vectors.unbind(1)
    turned = torch.stack([u * math.cos(theta) - v * math.sin(theta), u * math.sin(theta) + v * math.cos(theta)], dim=1)
    for sign, preserved in (("corrected", True), ("reference", False)):
        at_rest, one_up = (VectorConv(2, 3, 7, [1.0], [angle], sign=sign).double() for angle in (0.0, theta))
        one_up.load_state_dict(at_rest.state_dict())
        assert torch.allclose(length(one_up(turned)), length(at_rest(vectors)), **EXACT) is preserved


@pytest.mark.parametrize("stride", [1, 2])
def test_output_shape_and_homogeneity(stride):
    layer = VectorConv(1, 3, 7, stride=stride).double()
    vectors = noise(1, 2, 1, 15, 10)
    assert layer(vectors).shape == (1, 2, 3, (15 + 1 + 6 - 7) // stride, (10 + 1 + 6 - 7) // stride)
    assert_homogeneous(layer, vectors)
