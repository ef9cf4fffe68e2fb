"""What must hold of DSS whatever the weights."""

import pytest
import torch
from properties import EXACT, assert_homogeneous, assert_translates, bumps, noise, spot
from torch import nn
from torch.nn import functional as F

from models.dss import DilatedScaleConv, GaussianLifting, delta_init
from models.reference import plain


@pytest.mark.parametrize(("scales", "extent", "stride"), [(2, 1, 1), (3, 2, 1), (3, 2, 2), (2, 3, 1)])
def test_equals_the_plain_dilated_convolution(scales, extent, stride):
    layer = DilatedScaleConv(4, 5, 7, scales, extent=extent, stride=stride).double()
    for shape in ((8, 4, 4, 16, 14), (2, 4, 3, 7, 7)):
        maps = noise(*shape)
        torch.testing.assert_close(layer(maps), plain(layer, maps), **EXACT)


@pytest.mark.parametrize("extent", [1, 2, 3])
def test_subsampling_shifts_the_scale_axis(extent):
    maps = noise(2, 3, 4, 16, 20)
    layer, coarse = (DilatedScaleConv(3, 4, 7, scales, extent=extent).double() for scales in (4, 3))
    coarse.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(maps)[:, :, 1:, ::2, ::2], coarse(maps[:, :, 1:, ::2, ::2]), **EXACT)


def test_lifting_kernels():
    for zero_scale, scales, variances in ((0.25, 2, [0.187497]), (0.5, 4, [0.748409, 3.7448, 15.734])):
        lifting = GaussianLifting(scales, zero_scale)
        for level, variance in enumerate(variances, start=1):
            kernel = torch.tensor(lifting.kernels[level - 1], dtype=torch.float64)
            places = torch.arange(len(kernel)) - len(kernel) // 2
            assert torch.equal(kernel, kernel.flip(0))
            assert (kernel > 0).all()
            assert abs(kernel.sum().item() - 1) < 1e-6
            assert abs((kernel * places**2).sum().item() - variance) < 1e-4 * variance


def test_lifting_equals_the_plain_separable_convolution():
    lifting, maps = GaussianLifting(3, 0.5).double(), noise(2, 3, 12, 17)
    lifted = lifting(maps)
    assert torch.equal(lifted[:, :, 0], maps)
    for level in (1, 2):
        kernel = torch.tensor(lifting.kernels[level - 1], dtype=torch.float64).expand(3, 1, 1, -1)
        radius = kernel.shape[-1] // 2
        along_width = F.conv2d(maps, kernel, groups=3, padding=(0, radius))
        expected = F.conv2d(along_width, kernel.mT, groups=3, padding=(radius, 0))
        torch.testing.assert_close(lifted[:, :, level], expected, **EXACT)


def test_lifting_keeps_a_constant():
    lifted = GaussianLifting(3, 0.5).double()(torch.full((1, 1, 41, 41), 3.0, dtype=torch.float64))
    torch.testing.assert_close(lifted[..., 16:-16, 16:-16], torch.full((1, 1, 3, 9, 9), 3.0).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("zero_scale", "bound"), [(0.25, 0.02), (0.5, 0.02)])
def test_lifting_a_subsampled_level_gives_the_next(zero_scale, bound):
    image = bumps(65, std=4.0)
    lifted = GaussianLifting(3, zero_scale).double()(image)
    lifted_again = GaussianLifting(2, zero_scale).double()(lifted[:, :, 1, ::2, ::2])
    assert torch.equal(lifted_again[:, :, 0], lifted[:, :, 1, ::2, ::2])
    expected = lifted[:, :, 2, ::2, ::2]
    assert (lifted_again[:, :, 1] - expected).norm() < bound * expected.norm()


def test_an_impulse_at_scale_1_shows_the_filter_with_gaps():
    layer = DilatedScaleConv(1, 1, 3, 2).double()
    maps = torch.zeros(1, 1, 2, 9, 9, dtype=torch.float64)
    maps[0, 0, 1, 4, 4] = 1
    expected = torch.zeros(9, 9, dtype=torch.float64)
    expected[2:7:2, 2:7:2] = layer.weight[0, 0, 0].detach().flip(0, 1)
    torch.testing.assert_close(layer(maps)[0, 0, 1], expected, **EXACT)
    assert not layer(maps)[0, 0, 0].any()


def test_one_scale_is_a_plain_convolution():
    layer, maps = DilatedScaleConv(2, 3, 7, 1).double(), noise(2, 2, 11, 10)
    expected = F.conv2d(maps, layer.weight[:, :, 0], padding=3)
    torch.testing.assert_close(layer(maps[:, :, None])[:, :, 0], expected, **EXACT)


def test_a_1x1_filter_is_one_matrix():
    layer, maps = DilatedScaleConv(3, 4, 1, 2, stride=2).double(), noise(2, 3, 3, 8, 8)
    expected = torch.einsum("oc,ncshw->noshw", layer.weight[:, :, 0, 0, 0], maps[:, :, :2, ::2, ::2])
    torch.testing.assert_close(layer(maps), expected, **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
def test_output_shape(stride):
    layer = DilatedScaleConv(2, 3, 7, 2, extent=2, stride=stride).double()
    rows, columns = ((extent + 6 - 7) // stride + 1 for extent in (13, 10))
    assert layer(noise(1, 2, 4, 13, 10)).shape == (1, 3, 2, rows, columns)


def test_translation_and_homogeneity():
    layer = nn.Sequential(GaussianLifting(2, 0.25), DilatedScaleConv(1, 2, 7, 2)).double()
    assert_translates(layer, spot(1, 1, 40, 40, margin=15))
    assert_homogeneous(layer, noise(2, 1, 14, 14))


def test_delta_initialisation():
    square = torch.empty(16, 16, 1, 3, 3)
    delta_init(square)
    assert (square[..., 1, 1].diagonal() == 1).all()
    stem = torch.empty(16, 3, 1, 3, 3)
    delta_init(stem)
    assert (stem[..., 1, 1] == 1 / 16).all()
    wide = torch.empty(128, 16, 2, 3, 3)
    delta_init(wide)
    centres = wide[..., 1, 1]
    assert ((centres == 0.125).sum(dim=1) == 1).all()
    others = wide.flatten(3)[..., [0, 1, 2, 3, 5, 6, 7, 8]]
    assert others.abs().max() <= 0.01
