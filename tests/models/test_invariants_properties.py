"""What must hold of differential invariants whatever the weights."""

import math

import pytest
import torch
from properties import DECIDED_OTHERWISE, EXACT, assert_gradients_agree, bumps, noise, spot
from torch.nn import functional as F

import models
from models import ModelError, reference
from models.differential_invariants import InvariantConv, InvarLayer, PdeStep, PixelConv, invariants
from models.layers import gaussian_derivatives, invariant_conv
from models.layers.gaussian_derivatives import NAMES, derivatives, gaussian, kernels, transposed_derivatives
from models.layers.layout import from_hwnc, to_hwnc
from models.reference import plain, plain_layers

PUBLISHED, ZERO_MEAN = gaussian(), gaussian(zero_mean=True)
GROUPS = ((0, 1), (1, 3), (3, 6))  # of blocks of C channels
SHAPES = [(2, 3, 13, 10), (1, 1, 7, 5), (3, 2, 9, 21), (1, 4, 1, 1), (2, 1, 2, 17), (40, 5, 28, 28)]


def groups(features):
    by_block = features.unflatten(1, (len(NAMES), -1))
    return [by_block[:, first:last].flatten(1) for first, last in GROUPS]


def gradients(outputs, inputs):
    return torch.autograd.grad((outputs * noise(*outputs.shape, seed=7)).sum(), inputs)


# ------------------------------------------------------------------------------------------- fast layers are the plain ones


@pytest.mark.parametrize("functions", [PUBLISHED, ZERO_MEAN], ids=["published", "zero-mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_plain_layer(shape, functions):
    layer, maps = InvariantConv(shape[1], 4, functions).double(), noise(*shape).requires_grad_()
    inputs = [maps, *layer.parameters()]
    fast, slow = layer(maps), plain(layer, maps)
    torch.testing.assert_close(fast, slow, **EXACT)
    expected = gradients(slow, inputs)
    without = gradients(layer(maps.detach()), inputs[1:])  # made another way when the maps need no gradient
    for found, of_plain in zip((*gradients(fast, inputs), *without), (*expected, *expected[1:]), strict=True):
        torch.testing.assert_close(found, of_plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [*SHAPES, (2, 65, 56, 56)])
def test_float32_passes_are_those_of_float64(shape):
    """On a CPU depthwise convolutions in the one, banded matrices in the other."""
    layer, maps = InvariantConv(shape[1], 5, PUBLISHED), noise(*shape).float().requires_grad_()
    found = [layer(maps), *gradients(layer(maps).double(), [maps, *layer.parameters()])]
    layer.double()
    exact_maps = maps.detach().double().requires_grad_()
    exact = [layer(exact_maps), *gradients(layer(exact_maps), [exact_maps, *layer.parameters()])]
    for single, double in zip(found, exact, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-6 * double.abs().max().item() + 1e-12)


@pytest.mark.parametrize("functions", [PUBLISHED, ZERO_MEAN], ids=["published", "zero-mean"])
def test_both_kinds_of_passes_agree(functions, monkeypatch):
    pixels = noise(2, 11, 14, 3)
    results = []
    for convolved in (True, False):
        monkeypatch.setattr(gaussian_derivatives, "in_onednn", lambda _, convolved=convolved: convolved)
        results.append([*derivatives(pixels, functions), *transposed_derivatives(pixels, functions)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_transposed_derivatives():
    """<D u, v> = <u, D^T v> for each of the five."""
    u, v = noise(2, 9, 12, 3), noise(2, 9, 12, 3, seed=1)
    for one, turned in zip(derivatives(u, PUBLISHED), transposed_derivatives(v, PUBLISHED), strict=True):
        torch.testing.assert_close((one * v).sum(), (u * turned).sum(), **EXACT)


def test_gradients_are_those_of_finite_differences():
    layer, maps = InvariantConv(2, 3, PUBLISHED).double(), noise(2, 2, 6, 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *given: torch.func.functional_call(layer, dict(zip(("weight", "bias"), given[1:], strict=True)), given[0]),
        (maps, *(parameter.detach().requires_grad_() for parameter in layer.parameters())),
    )


@pytest.mark.parametrize("channels_last", [False, True])
def test_layouts_of_maps_change_nothing(channels_last):
    layer, maps = InvarLayer(3, 4, PUBLISHED).double(), noise(2, 3, 8, 9)
    given = maps.contiguous(memory_format=torch.channels_last) if channels_last else from_hwnc(to_hwnc(maps))
    assert torch.equal(layer(given), layer(maps))


@pytest.mark.parametrize("per_part", [1, 3, 5])
def test_images_are_worked_on_in_parts(per_part, monkeypatch):
    """On a CPU; all at once on a GPU."""
    layer, maps = InvariantConv(3, 4, PUBLISHED).double(), noise(7, 3, 8, 9).requires_grad_()
    results = []
    for images in (7, per_part):
        monkeypatch.setattr(invariant_conv, "IN_CACHE", images * 3 * 8 * 9 + 1)
        outputs = layer(maps)
        without = gradients(layer(maps.detach()), list(layer.parameters()))
        results.append([outputs, *gradients(outputs, [maps, *layer.parameters()]), *without])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("training", [True, False])
def test_a_step_of_the_equation_equals_the_plain_one(training):
    """Running statistics too."""
    steps = [PdeStep(4, 3, PUBLISHED).double().train(training) for _ in range(2)]
    with torch.no_grad():
        for parameter in steps[0].parameters():
            parameter.add_(noise(*parameter.shape, seed=parameter.numel()) / 4)
    steps[1].load_state_dict(steps[0].state_dict())
    u = noise(3, 4, 9, 8).relu().requires_grad_()
    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    with plain_layers(steps[1]):
        results = [step(u, tau) for step in steps]
        found, expected = ([y, *gradients(y, [u, tau, *step.parameters()])] for y, step in zip(results, steps, strict=True))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    for one, other in zip(steps[0].buffers(), steps[1].buffers(), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize(
    ("model", "task", "size"),
    [
        ("invar-layer", "mnist-scale-28+", {"channels": (5, 6, 7)}),
        ("invar-layer@kernels=zero-mean", "mnist-scale-28", {"channels": (5, 6, 7)}),
        ("invar-pdes", "mnist-scale-56", {"channels": 5, "hidden": 4, "iterations": 3}),
        (
            "invar-pdes@kernels=zero-mean,pixels=byte,upsample=bilinear",
            "mnist-scale-56+",
            {"channels": 5, "hidden": 6, "iterations": 2},
        ),
    ],
)
def test_a_training_step_in_float32_is_that_of_the_plain_layers_in_float64(model, task, size):
    torch.manual_seed(0)
    network = models.create(model, task, **size)
    assert_gradients_agree(network, (1, 28, 28), "cpu", best=DECIDED_OTHERWISE)  # a bias's, zero but for rounding, has 0.02
    exact, images = network.double().train(), noise(3, 1, 28, 28)
    for dropout in (module for module in exact.modules() if isinstance(module, torch.nn.Dropout)):
        dropout.p = 0.0
    fast = gradients(exact(images), list(exact.parameters()))
    with plain_layers(exact):
        slow = gradients(exact(images), list(exact.parameters()))
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8 * max(g.abs().max().item() for g in slow))


# ---------------------------------------------------------------------------------------------------- IV1 to IV7


@pytest.mark.parametrize("factor", [1e-3, 0.37, 255.0])
def test_contrast_changes_no_feature(factor):  # IV1
    maps = noise(2, 3, 12, 11)
    torch.testing.assert_close(invariants(factor * maps, PUBLISHED), invariants(maps, PUBLISHED), rtol=1e-14, atol=2e-15)


def test_the_network_of_layers_is_blind_to_contrast_and_that_of_equations_is_not():  # IV1
    images = noise(2, 1, 28, 28).abs()
    layers = models.create("invar-layer", "mnist-scale-28").double().eval()
    torch.testing.assert_close(layers(40 * images), layers(images), rtol=1e-9, atol=1e-9)
    unit, byte = (
        models.create(f"invar-pdes@pixels={pixels}", "mnist-scale-28", iterations=2).double().eval()
        for pixels in ("unit", "byte")
    )
    byte.load_state_dict(unit.state_dict())
    assert (unit(255 * images) - unit(images)).abs().max() > 1e-2
    torch.testing.assert_close(byte(images), unit(255 * images), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_are_at_most_one_and_reach_it(dtype):  # IV2
    for part in groups(invariants(noise(5, 3, 12, 11).to(dtype), PUBLISHED)):
        largest = part.abs().amax(dim=1)
        torch.testing.assert_close(largest, torch.ones_like(largest), rtol=0, atol=2 * torch.finfo(dtype).eps)


def test_features_are_translated():  # IV3
    maps = spot(2, 3, 33, 33, margin=10)
    shifted = invariants(maps.roll((4, -3), dims=(2, 3)), PUBLISHED)
    torch.testing.assert_close(shifted, invariants(maps, PUBLISHED).roll((4, -3), dims=(2, 3)), **EXACT)


def test_the_network_of_equations_is_translation_invariant():  # IV3: 3 steps, 6 pixels of margin each
    network = models.create("invar-pdes", "mnist-scale-28", channels=4, hidden=5, iterations=3).double().train()
    images = spot(4, 1, 61, 60, margin=26)
    torch.testing.assert_close(network(images.roll((5, -6), dims=(2, 3))), network(images), rtol=1e-9, atol=1e-9)


def test_transposing_exchanges_rows_and_columns():  # IV4
    maps = noise(2, 3, 12, 9)
    u, r, c, rr, rc, cc = invariants(maps, PUBLISHED).chunk(6, dim=1)
    turned = [part.mT for part in invariants(maps.mT, PUBLISHED).chunk(6, dim=1)]
    assert torch.equal(turned[0], u)
    for found, expected in zip(turned[1:], (-c, -r, cc, rc, rr), strict=True):
        if expected is not rc:
            torch.testing.assert_close(found, expected, **EXACT)


def test_transposing_the_mixed_derivative():  # IV4: kr after kc becomes kc after kr, the same but for what is lost at borders
    maps = spot(2, 3, 20, 20, margin=7)
    mixed, turned = (invariants(given, PUBLISHED).chunk(6, dim=1)[4] for given in (maps, maps.mT))
    torch.testing.assert_close(turned.mT, mixed, **EXACT)


def test_sums_of_kernels():  # IV5
    assert kernels(PUBLISHED).sum(dim=(1, 2)).tolist() == pytest.approx([0, 0, -0.010747, -0.010747], abs=1e-6)
    assert kernels(ZERO_MEAN).sum(dim=(1, 2)).tolist() == pytest.approx([0, 0, 0, 0], abs=1e-15)
    torch.testing.assert_close(kernels(ZERO_MEAN)[:2], kernels(PUBLISHED)[:2], rtol=0, atol=0)


def test_second_derivatives_of_a_constant():  # IV5
    inside = torch.ones(1, 30, 30, 1, dtype=torch.float64)
    leaks, none = (derivatives(inside, functions)[2][0, 6:-6, 6:-6, 0] for functions in (PUBLISHED, ZERO_MEAN))
    torch.testing.assert_close(leaks, torch.full_like(leaks, -0.010747), rtol=0, atol=1e-6)
    assert none.abs().max() < 1e-15


def magnification_errors(std, functions):
    """Relative L2 difference of each feature under magnification by 2, at the pixels that both grids have, margins cut."""
    extent = 4 * round(9 * std) + 1
    shape = {"extent": extent, "std": std}
    small, large = (invariants(bumps(**shape, scale=scale), functions)[0] for scale in (1.0, 2.0))
    centre, reach = (extent - 1) // 2, extent // 4 - 8
    near = small[:, centre - reach : centre + reach + 1, centre - reach : centre + reach + 1]
    magnified = large[:, centre - 2 * reach : centre + 2 * reach + 1 : 2, centre - 2 * reach : centre + 2 * reach + 1 : 2]
    return dict(zip(NAMES, ((magnified - near).flatten(1).norm(dim=1) / near.flatten(1).norm(dim=1)).tolist(), strict=True))


def test_magnification():  # IV6
    """The first orders get better with size, the second only with kernels that do not see the local mean."""
    small, large = ({kind: magnification_errors(std, kind) for kind in (PUBLISHED, ZERO_MEAN)} for std in (3.0, 6.0))
    for kind in (PUBLISHED, ZERO_MEAN):
        assert small[kind]["u"] < 0.02
        assert max(small[kind]["r"], small[kind]["c"]) < 0.06
        assert max(large[kind]["r"], large[kind]["c"]) < 0.02
    for name in ("rr", "rc", "cc"):
        assert small[ZERO_MEAN][name] < 0.13
        assert large[ZERO_MEAN][name] < 0.04
        assert large[PUBLISHED][name] > 4 * large[ZERO_MEAN][name]


def test_an_image_of_zeros_has_features_and_gradients_of_zero():  # IV7
    maps = noise(3, 2, 9, 8)
    maps[1] = 0
    maps.requires_grad_()
    features = invariants(maps, PUBLISHED)
    assert not features[1].any()
    torch.testing.assert_close(features[[0, 2]], invariants(maps[[0, 2]], PUBLISHED), rtol=0, atol=0)
    layer = InvariantConv(2, 3, PUBLISHED).double()
    (of_maps,) = gradients(layer(maps), [maps])
    assert of_maps.isfinite().all()
    (expected,) = gradients(plain(layer, maps), [maps])
    torch.testing.assert_close(of_maps, expected, **EXACT)


@pytest.mark.parametrize("model", ["invar-layer", "invar-pdes"])
def test_networks_of_black_images_are_finite(model):  # IV7
    network = models.create(model, "mnist-scale-28").train()
    loss = network(torch.zeros(2, 1, 28, 28)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


# ---------------------------------------------------------------------------------------------------- ties, options


def test_of_equal_maxima_the_first_has_the_gradient():
    """The first in the order derivative, row, column, channel."""
    maps = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    maps[0, 1, 1, 3], maps[0, 0, 4, 4], maps[0, 1, 4, 4] = -2, 2, 2
    maps.requires_grad_()
    layer = InvariantConv(2, 1, PUBLISHED).double()
    with torch.no_grad():
        layer.weight.zero_()[0, 1] = 1  # the second channel's u / m
    (found,) = torch.autograd.grad(layer(maps)[0, 0, 4, 4], [maps])
    expected = torch.zeros_like(maps)
    expected[0, 1, 4, 4] = 1 / 2
    expected[0, 1, 1, 3] = 2 / 2**2  # m = -u there
    torch.testing.assert_close(found, expected.detach(), **EXACT)


def test_maps_of_one_channel_stand_for_copies():
    layer, image = InvariantConv(5, 3, PUBLISHED).double(), noise(2, 1, 9, 8)
    torch.testing.assert_close(layer(image), layer(image.expand(-1, 5, -1, -1)), **EXACT)


def test_layer_of_stride_two():
    layer, maps = InvarLayer(2, 3, PUBLISHED, stride=2).double(), noise(2, 2, 9, 11)
    hidden = F.max_pool2d(F.relu(plain(layer.invariants, maps)), 2)
    expected = F.conv2d(hidden, layer.second.weight[..., None, None], layer.second.bias)
    torch.testing.assert_close(layer(maps), expected, **EXACT)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (20, 3, 7, 7), (1, 1, 1, 1)])
def test_pixel_convolution(shape):
    layer = PixelConv(shape[1], 6)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        maps = noise(*shape).to(dtype)
        layer.to(dtype)
        torch.testing.assert_close(
            layer(maps), F.conv2d(maps, layer.weight[..., None, None], layer.bias), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("extents", [(28, 28), (17, 40), (1, 3)])
def test_the_network_of_equations_takes_any_size(extents):
    network = models.create("invar-pdes", "mnist-scale-28", channels=4, hidden=5, iterations=2).double().eval()
    images = noise(2, 1, *extents)
    with plain_layers(network):
        expected = network(images)
    torch.testing.assert_close(network(images), expected, **EXACT)


def test_steps_are_equal_at_first_and_stand_first():
    network = models.create("invar-pdes", "mnist-scale-28", iterations=4)
    name, tau = next(iter(network.named_parameters()))
    assert name.endswith("tau")
    assert tau.tolist() == [1 / 4] * 4


@pytest.mark.parametrize("model", ["invar-layer", "invar-pdes"])
def test_networks_ask_for_raw_pixels(model):
    assert models.create(model, "mnist-scale-28").raw_pixels is True


@pytest.mark.parametrize(
    ("model", "override"),
    [
        ("invar-layer", {"channels": (83, 163)}),
        ("invar-layer", {"channels": (83, 0, 247)}),
        ("invar-layer", {"channels": 83}),
        ("invar-pdes", {"channels": -1}),
        ("invar-pdes", {"hidden": 2.5}),
        ("invar-pdes", {"iterations": 0}),
    ],
)
def test_sizes_that_are_none(model, override):
    with pytest.raises(ModelError, match=f"{model}: .*positive whole number") as raised:
        models.create(model, "mnist-scale-28", **override)
    assert "\n" not in str(raised.value)


def test_full_precision_under_autocast():
    layer, maps = InvariantConv(2, 3, PUBLISHED), noise(2, 2, 9, 8).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(maps)
    assert torch.equal(found, layer(maps))


def test_the_functions_are_derivatives_of_the_gaussian():
    smooth, slope, curve = PUBLISHED
    t, squared = 2, 0.99**2
    assert smooth[3 + t] == pytest.approx(math.exp(-squared * t * t))
    assert slope[3 + t] == pytest.approx(-2 * squared * t * smooth[3 + t])
    assert curve[3 + t] == pytest.approx((4 * squared**2 * t * t - 2 * squared) * smooth[3 + t])
    assert reference.invariants(noise(1, 1, 5, 5), PUBLISHED).shape == (1, 6, 5, 5)
