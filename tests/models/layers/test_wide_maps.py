"""Maps of many channels: every algorithm is torch's convolution, and the layout stays HWNC through whole networks."""

import pytest
import torch
from properties import noise
from torch.nn import functional as F

import models
from models.layers.conv.resampled import resampled_conv2d_direct
from models.layers.conv.resampled_axis import ResampledAxis
from models.layers.conv.same import same_conv2d, valid_conv2d
from models.layers.layout import WIDE, concatenate, fold_scales, from_hwnc, is_hwnc, to_hwnc
from models.layers.scale_axis import neighbouring_scales, stack_scales
from models.si_convnet import rescaled_axis
from models.wide_resnet import Block

LAYOUTS = {"width innermost": lambda maps: maps, "HWNC layout": lambda maps: from_hwnc(to_hwnc(maps))}


def agree(fast, slow, *inputs):
    """Results and gradients are the same up to rounding, and the fast result is in HWNC layout."""
    assert is_hwnc(fast)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)
    weights = noise(*slow.shape, seed=7)
    for found, expected in zip(*(torch.autograd.grad((out * weights).sum(), inputs) for out in (fast, slow)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-9)


# channels in, filter size, stride, dilation
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "shape",
    [
        *[(3, 3, 1, 1), (3, 3, 2, 1), (3, 1, 1, 1), (3, 1, 2, 1)],  # direct
        *[(3, 3, 2, 2), (3, 3, 2, 4), (3, 5, 3, 6), (3, 3, 2, 3)],  # dilated, the last so that it sees every pixel
        *[(128, 3, 1, 1), (128, 3, 1, 2), (128, 3, 2, 4)],  # Winograd
    ],
)
def test_equals_torch(layout, shape):
    channels_in, size, stride, dilation = shape
    maps = noise(2, channels_in, 11, 14).requires_grad_()
    filters = noise(WIDE, channels_in, size, size, seed=1).requires_grad_()
    slow = F.conv2d(maps, filters, stride=stride, padding=dilation * (size // 2), dilation=dilation)
    agree(same_conv2d(LAYOUTS[layout](maps), filters, stride, dilation), slow, maps, filters)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (1, 2, 0, 1)])
@pytest.mark.parametrize("size", [1, 4])
def test_margins_are_zeros(layout, margins, size):
    maps = noise(2, 3, 9, 10).requires_grad_()
    filters = noise(WIDE, 3, size, size, seed=1).requires_grad_()
    slow = F.conv2d(F.pad(maps, margins), filters, stride=2)
    agree(valid_conv2d(LAYOUTS[layout](maps), filters, 2, margins), slow, maps, filters)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_resampled_maps(layout, stride, scale):
    rows, columns = (rescaled_axis(extent, scale, 3, stride) for extent in (12, 14))
    maps, filters = noise(2, 3, 12, 14).requires_grad_(), noise(WIDE, 3, 3, 3, seed=1).requires_grad_()
    slow = rows.after @ F.conv2d(rows.before @ (maps @ columns.before.mT), filters, stride=stride) @ columns.after.mT
    agree(resampled_conv2d_direct(LAYOUTS[layout](maps), filters, rows, columns), slow, maps, filters)


def test_axes_of_different_strides():
    rows, columns = (ResampledAxis(torch.eye(8).double(), torch.eye(8 // s).double(), 3, s) for s in (1, 2))
    maps, filters = noise(2, 3, 8, 8), noise(WIDE, 3, 3, 3, seed=1)
    found = resampled_conv2d_direct(maps, filters, rows, columns)
    torch.testing.assert_close(found, F.conv2d(maps, filters, stride=(1, 2), padding=1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("extent", [1, 2])
def test_what_output_scales_see(layout, extent):
    levels = [noise(2, 4, 5, 6, seed=s).requires_grad_() for s in range(3)]
    maps = stack_scales([LAYOUTS[layout](level) for level in levels])
    for s, seen in enumerate(neighbouring_scales(maps, 3, extent)):
        slow = torch.cat(levels[s : s + extent], dim=1)
        torch.testing.assert_close(seen, slow)
        found, expected = (torch.autograd.grad((out**2).sum(), levels[s], retain_graph=True) for out in (seen, slow))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dim", [0, 1])
def test_maps_are_joined_in_their_layout(dim):
    maps = [noise(2, 3, 4, 5, seed=s) for s in range(2)]
    expected = torch.cat(maps, dim)
    assert torch.equal(concatenate(maps, dim), expected)
    joined = concatenate([LAYOUTS["HWNC layout"](one) for one in maps], dim)
    assert torch.equal(joined, expected) and is_hwnc(joined)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", models.list_models("stl10+"))
def test_the_layout_stays_through_a_network(name, training):
    """One layer that lays its maps out otherwise makes all others copy."""
    network, seen = models.create(name, "stl10+", depth=10, widen_factor=16), []

    def look(block, inputs, output):
        seen.append(output if output.ndim == 4 else fold_scales(output))

    for block in network.modules():
        if isinstance(block, Block):
            block.register_forward_hook(look)
    network.train(training)(torch.randn(2, 3, 16, 16))
    deep = [maps for maps in seen if maps.shape[1] >= WIDE]
    assert len(deep) >= 3 and all(is_hwnc(maps) for maps in deep)
