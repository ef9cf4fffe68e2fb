"""Every path of the convolution is torch's convolution; the maximum over maps is torch's maximum."""

import pytest
import torch
from properties import EXACT, noise
from torch.nn import functional as F

from models.layers.conv import same as convolution
from models.layers.conv.fourier import fourier_conv2d
from models.layers.conv.same import clip_taps, same_conv2d, same_conv2d_bank
from models.layers.cpu import onednn
from models.layers.scale_axis import first_maximum

# batch, channels in and out, height, width, filter size, stride, dilation
SHAPES = [
    (2, 1, 4, 28, 28, 15, 1, 1),  # direct, in strips
    (2, 3, 4, 19, 20, 17, 2, 1),  # strips and a stride
    (2, 3, 4, 18, 33, 31, 3, 1),  # three strips
    (2, 2, 3, 40, 40, 15, 1, 2),  # dilated: no strips
    (16, 12, 14, 14, 14, 11, 1, 1),  # Fourier
    (32, 12, 14, 7, 7, 15, 1, 1),  # clipped, Fourier
    (64, 24, 25, 13, 12, 9, 1, 2),  # dilated, clipped, Fourier
    (2, 3, 4, 12, 11, 3, 2, 1),  # direct
    (2, 64, 65, 49, 50, 9, 1, 1),  # Fourier in tiles, which do not fill the map
    (6, 96, 98, 48, 46, 9, 1, 2),  # dilated, in tiles
    (3, 5, 6, 9, 8, 1, 2, 1),  # one tap and a stride
]


def gradients(outputs, inputs):
    return torch.autograd.grad((outputs * noise(*outputs.shape, seed=2)).sum(), inputs)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch(shape):
    batch, channels_in, channels_out, height, width, size, stride, dilation = shape
    maps = noise(batch, channels_in, height, width).requires_grad_()
    filters = noise(channels_out, channels_in, size, size, seed=1).requires_grad_()
    fast = same_conv2d(maps, filters, stride, dilation)
    slow = F.conv2d(maps, filters, stride=stride, padding=dilation * (size // 2), dilation=dilation)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-11)
    for found, expected in zip(gradients(fast, [maps, filters]), gradients(slow, [maps, filters]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(("channels", "extent", "sizes"), [(1, 28, (5, 15)), (24, 14, (3, 7, 11, 15)), (40, 29, (7, 9, 11))])
def test_a_bank_is_its_filters_one_by_one(channels, extent, sizes):
    maps = noise(8, channels, extent, extent).requires_grad_()
    bank = [noise(25, channels, size, size, seed=size).requires_grad_() for size in sizes]
    together = torch.stack(same_conv2d_bank(maps, bank))
    alone = torch.stack([F.conv2d(maps, filters, padding=filters.shape[-1] // 2) for filters in bank])
    torch.testing.assert_close(together, alone, rtol=1e-11, atol=1e-11)
    for found, expected in zip(gradients(together, [maps, *bank]), gradients(alone, [maps, *bank]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-10)


def test_which_path_is_taken(monkeypatch):
    taken = []

    def watch(module, name, note):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: (taken.append(note(arguments)), original(*arguments))[1])

    watch(onednn, "_in_strips", lambda arguments: "strips")
    watch(convolution, "fourier_conv2d", lambda arguments: "Fourier" if arguments[3] is None else "Fourier in tiles")
    watch(onednn, "_one_tap", lambda arguments: "one tap")
    paths = []
    for batch, channels_in, channels_out, height, width, size, stride, dilation in SHAPES:
        taken.clear()
        same_conv2d(noise(batch, channels_in, height, width), noise(channels_out, channels_in, size, size), stride, dilation)
        paths.append(taken[0] if taken else "direct")
    tiled = ["Fourier in tiles"] * 2
    expected = ["strips", "strips", "strips", "direct", "Fourier", "Fourier", "Fourier", "direct", *tiled, "one tap"]
    assert paths == expected


def test_no_fourier_transform_in_half_precision():
    maps, filters = noise(8, 6, 14, 14).float(), noise(7, 6, 11, 11).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert same_conv2d(maps, filters).dtype == torch.bfloat16


def test_fourier_in_float32_is_as_exact_as_direct():
    maps, filters = noise(8, 32, 14, 14), noise(16, 32, 15, 15)
    exact = F.conv2d(maps, filters, padding=7)
    error = (fourier_conv2d(maps.float(), [filters.float()])[0] - exact).abs().max() / exact.abs().max()
    assert error < 2e-6


def test_clipped_filters_keep_their_centre():
    filters = torch.arange(15.0 * 15).view(1, 1, 15, 15)
    assert torch.equal(clip_taps(filters, 4, 15), filters[..., 4:11, :])
    assert torch.equal(clip_taps(filters, 4, 15, dilation=2), filters[..., 6:9, :])
    assert clip_taps(filters, 1, 1).item() == 7 * 15 + 7
    assert torch.equal(clip_taps(filters[..., 5:10, :], 2, 4), filters[..., 6:9, 4:11])  # not square


@pytest.mark.parametrize("count", [1, 2, 5])
def test_first_maximum_is_torchs(count):
    maps = [noise(3, 4, 5, seed=s).round().requires_grad_() for s in range(count)]  # rounded: many ties
    largest, which = first_maximum(maps)
    expected, first = torch.stack(maps).max(dim=0)
    assert torch.equal(largest, expected)
    assert torch.equal(which.long(), first)
    for found, wanted in zip(gradients(largest, maps), gradients(expected, maps), strict=True):
        torch.testing.assert_close(found, wanted, **EXACT)
