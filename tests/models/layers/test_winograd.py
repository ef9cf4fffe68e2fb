"""Winograd's convolution is torch's, whatever the tile, the functions and the dilation."""

import pytest
import torch
from properties import EXACT, noise
from torch.nn import functional as F

from models.layers.conv import Sizes
from models.layers.conv import same as convolution
from models.layers.conv.same import same_conv2d, steered_conv2d
from models.layers.conv.separable import compose, functions_of
from models.layers.cpu.winograd import POINTS, taps_alone, winograd_conv2d, winograd_cost

# channels in and out, height, width, row functions and their taps, column functions and their taps, tile, dilation
SHAPES = [
    (3, 4, 12, 12, 3, 3, 3, 3, 4, 1),
    (3, 4, 9, 10, 2, 5, 3, 3, 4, 1),
    (2, 5, 4, 13, 3, 5, 3, 5, 2, 1),
    (2, 3, 7, 7, 3, 3, 3, 3, 6, 1),
    (2, 3, 11, 13, 3, 3, 2, 3, 2, 2),
    (2, 3, 6, 17, 3, 3, 3, 3, 3, 4),
]


def gradients(result, *inputs):
    return torch.autograd.grad((result * noise(*result.shape, seed=2).to(result.dtype)).sum(), inputs)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch(shape):
    channels_in, channels_out, height, width, a, row_taps, b, column_taps, tile, dilation = shape
    rows, columns = functions_of(noise(a, row_taps, seed=3)), functions_of(noise(b, column_taps, seed=4))
    maps = noise(2, channels_in, height, width).requires_grad_()
    weight = noise(channels_out, channels_in, a, b, seed=1).requires_grad_()
    fast = winograd_conv2d(maps, weight, rows, columns, tile, dilation)
    padding = (dilation * (row_taps // 2), dilation * (column_taps // 2))
    slow = F.conv2d(maps, compose(weight, rows, columns), padding=padding, dilation=dilation)
    torch.testing.assert_close(fast, slow, **EXACT)
    for found, expected in zip(gradients(fast, maps, weight), gradients(slow, maps, weight), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_taps_that_no_function_uses_cost_nothing():
    functions = ((0, 1, 0, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1))  # SiCNN's column of scale 1.5
    maps, weight = noise(2, 3, 10, 10), noise(4, 3, 3, 3, seed=1)
    expected = F.conv2d(maps, compose(weight, functions, functions), padding=2)
    torch.testing.assert_close(winograd_conv2d(maps, weight, functions, functions, 5), expected, **EXACT)
    every_second = steered_conv2d(maps, weight, functions, functions, stride=2)
    torch.testing.assert_close(every_second, expected[..., ::2, ::2], **EXACT)
    assert (
        winograd_cost(Sizes(4, 256, 256, (48, 48)), (functions, functions))[1] == 5
    )  # tiles of 5 with four taps, not of 4 with five


@pytest.mark.parametrize("points", POINTS)
def test_rounding_errors_are_small(points):
    taps = 3 if points < 8 else 5
    maps, weight = (
        noise(2, 128, 24, 24).float().requires_grad_(),
        (noise(64, 128, taps, taps, seed=1) / 60).float().requires_grad_(),
    )
    found = winograd_conv2d(maps, weight, taps_alone(taps), taps_alone(taps), points - taps + 1)
    inputs = [tensor.detach().double().requires_grad_() for tensor in (maps, weight)]
    expected = F.conv2d(*inputs, padding=taps // 2)
    pairs = zip((found, *gradients(found, maps, weight)), (expected, *gradients(expected, *inputs)), strict=True)
    for rounded, exact in pairs:
        assert (rounded.double() - exact).norm() < 1e-5 * exact.norm()


def test_maps_that_need_no_gradient_get_none():
    maps, weight = noise(2, 3, 8, 8), noise(4, 3, 3, 3, seed=1).requires_grad_()
    winograd_conv2d(maps, weight, taps_alone(3), taps_alone(3), 4).sum().backward()
    assert weight.grad is not None


# batch, channels, pixels, taps, dilation: small filters on many channels
@pytest.mark.parametrize(
    ("batch", "channels", "extent", "taps", "dilation", "winograd"),
    [
        *[(4, 512, 24, 3, 1, True), (4, 256, 48, 3, 1, True), (4, 128, 96, 3, 1, True), (4, 256, 48, 3, 4, True)],
        *[(4, 64, 24, 3, 1, False), (4, 128, 96, 7, 1, False), (4, 512, 24, 1, 1, False)],
    ],
)
def test_which_path_is_taken(monkeypatch, batch, channels, extent, taps, dilation, winograd):
    chosen = []
    for name in ("winograd_conv2d", "_direct", "fourier_conv2d"):
        monkeypatch.setattr(convolution, name, lambda *_, name=name: chosen.append(name) or [None])
    maps = torch.zeros(()).expand(batch, channels, extent, extent)
    same_conv2d(maps, torch.empty(channels, channels, taps, taps), dilation=dilation)
    assert (chosen == ["winograd_conv2d"]) == winograd
    chosen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        same_conv2d(maps, torch.empty(channels, channels, taps, taps), dilation=dilation)
    assert chosen == ["_direct"]


def test_functions_are_evaluated_and_no_filter_is_made(monkeypatch):
    monkeypatch.setattr(convolution, "compose", lambda *_: pytest.fail("made a filter"))
    rows = functions_of(noise(3, 3))
    maps, weight = noise(4, 256, 24, 24), noise(256, 256, 3, 3, seed=1)
    found = steered_conv2d(maps, weight, rows, rows)
    torch.testing.assert_close(found, F.conv2d(maps, compose(weight, rows, rows), padding=1), rtol=1e-11, atol=1e-10)
