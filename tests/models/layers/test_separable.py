"""Correlating the maps with separable functions is convolving with the filters that combine them."""

import pytest
import torch
from properties import EXACT, noise
from torch.nn import functional as F

from models.layers.conv import same as convolution
from models.layers.conv.same import steered_conv2d
from models.layers.conv.separable import compose, functions_of, separable_conv2d
from models.sesn import hermite_filters
from models.sicnn import ResizedFilters

# channels in and out, height, width, row functions and their taps, column functions and their taps, stride
SHAPES = [
    (3, 4, 13, 10, 3, 5, 2, 7, 1),
    (3, 4, 13, 10, 3, 5, 2, 7, 2),
    (2, 5, 4, 9, 1, 9, 3, 1, 1),
    (1, 2, 8, 8, 2, 3, 2, 3, 3),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch(shape):
    channels_in, channels_out, height, width, a, row_taps, b, column_taps, stride = shape
    rows, columns = functions_of(noise(a, row_taps, seed=3)), functions_of(noise(b, column_taps, seed=4))
    maps = noise(2, channels_in, height, width).requires_grad_()
    weight = noise(channels_out, channels_in, a, b, seed=1).requires_grad_()
    fast = separable_conv2d(maps, weight, rows, columns, stride)
    filters = torch.einsum(
        "ocab,ai,bj->ocij", weight, *(torch.tensor(functions, dtype=torch.float64) for functions in (rows, columns))
    )
    slow = F.conv2d(maps, filters, stride=stride, padding=(row_taps // 2, column_taps // 2))
    direction = noise(*slow.shape, seed=2)
    torch.testing.assert_close(fast, slow, **EXACT)
    torch.testing.assert_close(compose(weight, rows, columns), filters, **EXACT)
    for found, expected in zip(
        *(torch.autograd.grad((y * direction).sum(), [maps, weight]) for y in (fast, slow)), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_maps_that_need_no_gradient_get_none():
    rows = functions_of(noise(3, 5))
    maps, weight = noise(2, 3, 8, 8), noise(4, 3, 3, 3, seed=1).requires_grad_()
    separable_conv2d(maps, weight, rows, rows).sum().backward()
    assert weight.grad is not None


# batch, channels, pixels, taps, stride: made filters where few are read often, the functions where many are read seldom
@pytest.mark.parametrize(
    ("batch", "channels", "extent", "taps", "stride", "separable"),
    [(4, 512, 24, 7, 1, True), (4, 256, 48, 7, 2, True), (4, 128, 96, 7, 1, False), (4, 512, 24, 3, 1, False)],
)
def test_which_path_is_taken(monkeypatch, batch, channels, extent, taps, stride, separable):
    chosen = []
    monkeypatch.setattr(convolution, "separable_conv2d", lambda *_: chosen.append(True))
    for other in ("same_conv2d", "winograd_conv2d"):
        monkeypatch.setattr(convolution, other, lambda *_: chosen.append(False))
    rows = functions_of(noise(3, taps))
    maps = torch.zeros(()).expand(batch, channels, extent, extent)
    steered_conv2d(maps, torch.empty(channels, channels, 3, 3), rows, rows, stride)
    assert chosen == [separable]


def test_half_precision_stays_half():
    rows = functions_of(noise(3, 5))
    maps, weight = noise(2, 3, 8, 8).float().requires_grad_(), noise(4, 3, 3, 3, seed=1).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        half = separable_conv2d(maps, weight, rows, rows)
    half.float().sum().backward()
    assert half.dtype == torch.bfloat16 and maps.grad.dtype == weight.grad.dtype == torch.float32
    full = separable_conv2d(maps, weight, rows, rows)
    assert (half.float() - full).norm() < 0.02 * full.norm()


def test_the_steerable_basis_is_made_of_its_axes():
    filters = hermite_filters(7, (0.9, 1.27, 1.79), 3)
    weight = noise(4, 5, 9)
    for bank, axis in zip(filters(weight), filters.axes, strict=True):
        torch.testing.assert_close(compose(weight.unflatten(-1, (3, 3)).mT, axis, axis), bank, **EXACT)


@pytest.mark.parametrize(("size", "scales"), [(3, (0.67, 1.0, 1.5)), (7, (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33))])
def test_columns_convolve_with_their_resized_filters(size, scales):
    filters, weight = ResizedFilters(size, scales, "ratio"), noise(4, 3, size, size)
    maps = [noise(2, 3, 30, 30, seed=s) for s in range(len(scales))]
    for stride in (1, 2):
        for found, seen, bank in zip(filters.convolve(maps, weight, stride), maps, filters(weight), strict=True):
            expected = F.conv2d(seen, bank, stride=stride, padding=bank.shape[-1] // 2)
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
