"""What only a GPU does, all scales of a layer at once, is what the CPU does one by one: values and gradients, in float64."""

import sys

import pytest
import torch
from properties import noise
from torch.nn import functional as F

import models
import models.si_convnet
from models.layers.conv import Sizes, fourier_bank
from models.layers.conv.algorithm import _fourier_pays
from models.layers.conv.fourier_bank import FilterBank, taps_of
from models.layers.conv.resampled import resampled_conv2d_direct
from models.layers.conv.resampled_levels import Level, convolve_levels
from models.layers.plain import MaxPool2d
from models.layers.scale_axis import _Largest, largest, pool_scales
from models.sevf import FACTORS, VectorConv, resized_axis

TASKS = ("mnist-scale-28", "stl10+")
NETWORKS = [(name, task) for task in TASKS for name in models.list_models(task)]


def agree(found, expected, inputs):
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    upstream = noise(*expected.shape, seed=9)
    given, wanted = (torch.autograd.grad(result, inputs, upstream) for result in (found, expected))
    for one, other in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------------------------------------------------- the products


@pytest.mark.parametrize("own_weights", [False, True])
@pytest.mark.parametrize("own_maps", [False, True])
@pytest.mark.parametrize(("height", "width"), [(9, 8), (3, 12)])
def test_a_bank_is_a_convolution_for_each_scale(height, width, own_maps, own_weights):
    dilations, sizes = (1, 2, 1), (3, 7, 21)  # the last one's outer taps only ever meet padding
    functions = [noise(6, size, size, seed=size) for size in sizes]
    maps = noise(3, 4, 3 if own_maps else 1, height, width).requires_grad_()
    weights = noise(*([3] if own_weights else []), 5, 4, 6, seed=1).requires_grad_()
    expected = []
    for s, (made_of, dilation) in enumerate(zip(functions, dilations, strict=True)):
        filters = torch.tensordot(weights[s] if own_weights else weights, made_of, dims=1)
        seen = maps[:, :, s if own_maps else 0]
        expected.append(F.conv2d(seen, filters, padding=dilation * (sizes[s] // 2), dilation=dilation))
    found = FilterBank(functions, dilations).convolve(maps, weights)
    agree(found, torch.stack(expected, dim=2), [maps, weights])


def test_a_bank_keeps_what_it_made_for_each_type_and_size():
    one = FilterBank([taps_of(3)])
    kept = one.transforms(6, 6, torch.float64, torch.device("cpu"))
    assert one.transforms(6, 6, torch.float64, torch.device("cpu")) is kept
    for height, dtype in ((6, torch.float32), (7, torch.float64)):
        other = one.transforms(height, 6, dtype, torch.device("cpu"))
        assert other.dtype == dtype
        assert other.shape[0] == 3 * (height + 1) * 4
    torch.testing.assert_close(one.transforms(6, 6, torch.float32, torch.device("cpu")).double(), kept, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("own_weights", [False, True])
def test_levels_are_resampled_convolutions_one_by_one(own_weights):
    maps = noise(3, 4, 14, 13).requires_grad_()
    filters = noise(*([len(FACTORS)] if own_weights else []), 5, 4, 7, 7, seed=1).requires_grad_()
    levels = [Level(resized_axis(14, factor, 7, 1), resized_axis(13, factor, 7, 1)) for factor in FACTORS]
    expected = [
        resampled_conv2d_direct(maps, filters[i] if own_weights else filters, level.rows, level.columns)
        for i, level in enumerate(levels)
    ]
    agree(convolve_levels(maps, filters, levels, (14, 13)), torch.stack(expected, dim=2), [maps, filters])


def test_levels_leave_minus_infinity_around_their_place():
    maps, filters = noise(2, 3, 8, 8), noise(4, 3, 3, 3, seed=1)
    axis = resized_axis(8, 0.5, 3, 1)
    place = (slice(1, 9), slice(2, 10))
    found = convolve_levels(maps, filters, [Level(axis, axis, place)], (10, 12))[:, :, 0]
    inside = resampled_conv2d_direct(maps, filters, axis, axis)
    torch.testing.assert_close(found, F.pad(inside, (2, 2, 1, 1), value=-torch.inf), rtol=1e-11, atol=1e-11)


# ------------------------------------------------------------------------------------------------- pooling and the maximum

LAYOUTS = {
    "contiguous": (0, 1, 2, 3, 4),
    "scales outermost": (2, 0, 1, 3, 4),
    "beside": (3, 4, 0, 2, 1),
    "inside": (3, 4, 2, 0, 1),
}


def laid_out(layout, rounded=False):
    """(N, C, S, H, W) = (2, 3, 4, 6, 5), whose axes lie in memory in this order."""
    order = LAYOUTS[layout]
    maps = noise(2, 3, 4, 6, 5)
    maps = (2 * maps).round() if rounded else maps
    return maps.permute(order).contiguous().permute([order.index(axis) for axis in range(5)]).detach().requires_grad_()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_largest_is_torchs(layout, monkeypatch):
    monkeypatch.setattr("models.layers.scale_axis.few_launches", lambda maps: True)
    maps = laid_out(layout, rounded=True)  # many ties
    values, which = largest(maps)
    expected = maps.max(dim=2)
    assert torch.equal(which, expected.indices)
    assert _Largest.__name__ in type(values.grad_fn.next_functions[0][0]).__name__
    agree(values, expected.values, [maps])
    order = [axis for axis in LAYOUTS[layout] if axis != 2]
    assert values.permute([axis - (axis > 2) for axis in order]).is_contiguous()  # as the maps lie


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_scales_are_pooled_as_each_of_them(layout):
    maps, pool = laid_out(layout), MaxPool2d(2, padding=1)
    agree(pool_scales(maps, pool), torch.stack([pool(one) for one in maps.unbind(2)], dim=2), [maps])


def test_filters_turned_at_once():
    layer = VectorConv(3, 4, 5).double()
    angles = [0.0, 0.4, -2.0]
    agree(layer._all_turned(angles), torch.stack([layer._turned(angle) for angle in angles]), [layer.a, layer.b])


# ---------------------------------------------------------------------------------------------------------------- networks


def trained_once(network, images):
    network.zero_grad()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    logits = network(images)
    F.cross_entropy(logits, torch.arange(len(images))).backward()
    after = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(before)
    gradients = {key: parameter.grad.clone() for key, parameter in network.named_parameters() if parameter.grad is not None}
    return logits.detach(), gradients, after


def as_on_a_gpu(monkeypatch, pays):
    """Few launches; Fourier wherever it is possible, or nowhere."""
    for name, module in list(sys.modules.items()):
        if name.startswith("models.") and hasattr(module, "few_launches"):
            monkeypatch.setattr(module, "few_launches", lambda maps: True)
    monkeypatch.setattr(fourier_bank, "fourier_pays", lambda *arguments: pays)
    for module in (models.sevf, models.si_convnet):
        monkeypatch.setattr(
            module, "levels_pay", lambda maps, channels, axes: pays and all(axis.stride == 1 for both in axes for axis in both)
        )


@pytest.mark.parametrize(("name", "task"), NETWORKS)
def test_a_training_step_is_that_of_the_cpu(name, task, monkeypatch):
    torch.manual_seed(0)
    small = {"depth": 10, "widen_factor": 2, "dropout": 0.0} if task == "stl10+" else {}
    network = models.create(name, task, **small).double().train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    images = noise(3, 3, 16, 16) if task == "stl10+" else noise(3, 1, 28, 28)
    expected, gradients, after = trained_once(network, images)
    largest_norm = max(gradient.norm().item() for gradient in gradients.values())
    for pays in (True, False):
        with monkeypatch.context() as patched:
            as_on_a_gpu(patched, pays)
            found, others, state = trained_once(network, images)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
        assert gradients.keys() == others.keys()
        for key, gradient in gradients.items():  # some are zero but for rounding: biases in front of a normalisation
            assert (others[key] - gradient).norm().item() < 1e-9 * (gradient.norm().item() + 1e-3 * largest_norm), key
        for key, value in after.items():
            torch.testing.assert_close(state[key], value, rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------------- rules


def pays(channels_in, channels_out, extent, sizes, *, dilations=(1,), on_cpu=False, batch=128):
    reach = max(d * (size // 2) for d, size in zip(dilations, sizes, strict=True))
    period = extent + min(reach, extent - 1)
    counted = Sizes(batch, channels_in, channels_out, (extent, extent))
    return _fourier_pays(counted, tuple(sizes), tuple(dilations), (period, period), False, on_cpu)


def test_the_plain_network_takes_the_fourier_path_where_all_others_do():
    assert pays(32, 63, 14, [7])
    assert pays(63, 95, 7, [7])
    assert not pays(1, 32, 28, [7])


def test_small_filters_are_left_to_cudnns_winograd():
    assert pays(512, 512, 24, [3], on_cpu=True)
    assert not pays(512, 512, 24, [3])
    assert pays(512, 512, 24, [3], dilations=(2,))  # for which there is none
    assert not pays(128, 128, 96, [7])  # better in tiles


def test_strides_and_half_precision_stay_direct_and_so_does_the_cpu(monkeypatch):
    one, maps = FilterBank([taps_of(7)]), noise(64, 32, 1, 14, 14).float()
    assert not one.pays(maps, 63)
    monkeypatch.setattr(fourier_bank, "few_launches", lambda maps: True)
    assert one.pays(maps, 63)
    assert not one.pays(maps, 63, stride=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not one.pays(maps, 63)
