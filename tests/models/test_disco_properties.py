"""What must hold of DISCO whatever the weights (docs/later-methods.md 3): DC1 to DC5."""

import pytest
import torch
from properties import EXACT, assert_homogeneous, assert_translates, noise, spot

import models
from models import ModelError
from models.disco import disco_filters
from models.layers.plain import AvgPool2d, MaxPool2d, Pooled, RectifiedAvgPool2d
from models.layers.proxy_tables import dilated_functions, proxy_table
from models.layers.scale_axis import ScalePool
from models.layers.steerable import LiftingConv, ScaleConv, SteerableFilters
from models.mnist_net import MnistNet
from models.reference import plain
from models.sesn import steerable_basis

STL = (5, (1.0, 1.41, 2.0), 3, 0.9)
MNIST = (15, (1.0, 1.26, 1.59, 2.0), 7, 1.9, 4, 1.5)
WHOLE = (7, (1.0, 2.0, 3.0), 3, 0.8)


@pytest.mark.parametrize("arguments", [MNIST, WHOLE], ids=["mnist", "whole"])
@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_by_two_is_exact(arguments, channels):
    """DC1: scale 2 on an image is scale 1 on every second pixel of it, borders included."""
    layer, image = LiftingConv(channels, 4, disco_filters(*arguments), bias=True).double(), noise(2, channels, 24, 20)
    two = arguments[1].index(2.0)
    torch.testing.assert_close(layer(image)[:, :, two, ::2, ::2], layer(image[..., ::2, ::2])[:, :, 0], **EXACT)


def test_shrinking_a_map_is_exact():
    """DC1 between scales, at three of them: 1 and 3 of a convolution over scale and translation."""
    layer, maps = ScaleConv(2, 3, disco_filters(*WHOLE)).double(), noise(2, 2, 3, 24, 21)
    shrunk = torch.stack([maps[:, :, 2, ::3, ::3]] * 3, dim=2)
    torch.testing.assert_close(layer(maps)[:, :, 2, ::3, ::3], layer(shrunk)[:, :, 0], **EXACT)


@pytest.mark.parametrize("arguments", [STL, MNIST, WHOLE], ids=["stl", "mnist", "whole"])
def test_norms(arguments):
    """DC2: 1 at whole scales, where a filter is that of scale 1 with zeros in between; less elsewhere (D23)."""
    filters = disco_filters(*arguments)
    basis = [filters.get_buffer(f"basis_{s}") for s in range(filters.scales)]
    for scale, dilation, functions in zip(arguments[1], filters.dilations, basis, strict=True):
        norms = functions.flatten(1).norm(dim=1)
        if float(scale).is_integer():
            assert dilation == scale
            assert torch.equal(functions, basis[0])
            torch.testing.assert_close(norms, torch.ones_like(norms), **EXACT)
        else:
            assert norms.mean() < 0.9


@pytest.mark.parametrize(("arguments", "rank"), [(STL, 9), (MNIST, 45)], ids=["stl", "mnist"])
def test_ranks(arguments, rank):
    """DC3: the basis of MNIST is overcomplete."""
    filters = disco_filters(*arguments)
    for s in range(filters.scales):
        assert torch.linalg.matrix_rank(filters.get_buffer(f"basis_{s}").flatten(1)) == rank


def test_whole_scales_need_no_table(monkeypatch):
    """DC4: it is then SESN's layer with dilated Hermite functions."""
    monkeypatch.setattr("models.disco.proxy_table", None)
    layer, maps = ScaleConv(2, 3, disco_filters(*WHOLE), extent=2).double(), noise(2, 2, 3, 10, 9)
    hermite = steerable_basis(3, [0.8], 3)[1][0]
    dense = [torch.tensordot(hermite.flatten(1), dilated_functions(3, 7, s), dims=1) for s in WHOLE[1]]
    other = ScaleConv(2, 3, SteerableFilters(dense), extent=2).double()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(maps), other(maps), **EXACT)


def test_one_scale_is_a_plain_convolution():
    """DC4."""
    layer, image = LiftingConv(2, 3, disco_filters(3, (1.0,), 3, 0.9)).double(), noise(2, 2, 9, 8)
    expected = torch.nn.functional.conv2d(image, layer.filters(layer.weight)[0], padding=1)
    torch.testing.assert_close(layer(image)[:, :, 0], expected, **EXACT)


# ------------------------------------------------------------------------------------------------ fast layers, plain layers

SHAPES = [(1, 3, 13, 10), (2, 5, 28, 28), (12, 6, 9, 14), (130, 3, 12, 12)]  # channels in, channels out, height, width


@pytest.mark.parametrize("arguments", [STL, MNIST, WHOLE], ids=["stl", "mnist", "whole"])
@pytest.mark.parametrize(("channels_in", "channels_out", "height", "width"), SHAPES)
@pytest.mark.parametrize("stride", [1, 2])
def test_fast_layers_are_the_plain_ones(arguments, channels_in, channels_out, height, width, stride):
    scales = len(arguments[1])
    lifting = LiftingConv(channels_in, channels_out, disco_filters(*arguments), stride=stride, bias=True).double()
    image = noise(2, channels_in, height, width).requires_grad_()
    over = ScaleConv(channels_in, channels_out, disco_filters(*arguments), extent=2, stride=stride).double()
    maps = noise(2, channels_in, scales, height, width).requires_grad_()
    for layer, given in ((lifting, image), (over, maps)):
        fast, slow = layer(given), plain(layer, given)
        torch.testing.assert_close(fast, slow, **EXACT)
        upstream = noise(*fast.shape, seed=4)
        for one, other in zip(
            torch.autograd.grad(fast, [given, layer.weight], upstream),
            torch.autograd.grad(slow, [given, layer.weight], upstream),
            strict=True,
        ):
            torch.testing.assert_close(one, other, **EXACT)


def test_pooled_is_pooling_afterwards():
    layer, image = Pooled(LiftingConv(2, 3, disco_filters(*STL)), MaxPool2d(2)).double(), noise(2, 2, 12, 10)
    torch.testing.assert_close(layer(image), plain(layer, image), **EXACT)
    torch.testing.assert_close(layer(image), ScalePool(MaxPool2d(2))(layer.layer(image)), **EXACT)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["lifting", "over scales"])
def test_averages_with_the_rectifier_in_one(name, bias):
    kind = LiftingConv if name == "lifting" else ScaleConv
    layer = kind(2, 3, disco_filters(*STL), bias=bias).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(noise(*parameter.shape, seed=3))
    given = noise(2, 2, *([] if kind is LiftingConv else [3]), 12, 10).requires_grad_()
    network = MnistNet(layer, torch.nn.ReLU(), ScalePool(AvgPool2d(2)))
    assert isinstance(network.steps()[0][1], RectifiedAvgPool2d) and len(network.steps()) == 1
    fast, slow = network(given), plain(network, given)
    torch.testing.assert_close(fast, slow, **EXACT)
    for one, other in zip(
        torch.autograd.grad(fast.square().sum(), [given, *layer.parameters()]),
        torch.autograd.grad(slow.square().sum(), [given, *layer.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **EXACT)


def test_translation_and_homogeneity():
    lifting, over = LiftingConv(2, 3, disco_filters(*STL)).double(), ScaleConv(2, 3, disco_filters(*STL)).double()
    assert_translates(lifting, spot(1, 2, 40, 40, margin=12))
    assert_homogeneous(lifting, noise(2, 2, 9, 9))
    assert_homogeneous(over, noise(2, 2, 3, 9, 9))


# ---------------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("task", ["mnist-scale-56", "mnist-scale-56+"])
def test_what_two_models_differ_in(task):
    """`disco@pool=max` and `sesn-vector` have the same modules but for their filters, as have the two with averages."""
    for ours, theirs in (("disco", "sesn-vector@pool=average"), ("disco@pool=max", "sesn-vector")):
        one, other = models.create(ours, task), models.create(theirs, task)
        assert [repr(m) for m in one if not list(m.parameters())] == [repr(m) for m in other if not list(m.parameters())]
        assert [p.shape for p in one.parameters()] == [p.shape for p in other.parameters()]
    assert models.canonical_name("disco@pool=average", task) == "disco"
    assert models.canonical_name("sesn-vector@pool=max", task) == "sesn-vector"


def test_pools_of_disco():
    """The last one looks at eight rows and columns and ends on two: windows at 0 and 4 of the places at 0 to 7."""
    network = models.create("disco", "mnist-scale-56")
    sizes, maps = [], torch.zeros(2, 1, 28, 28)
    for module in network[: [isinstance(m, torch.nn.Flatten) for m in network].index(True)]:
        maps = module(maps)
        sizes.append(maps.shape[-1])
    assert sizes == [56, 56, 56, 28, 28, 28, 28, 14, 14, 14, 14, 8, 2, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table[:, :3], r"shape \(49, 3, 15, 15\); wanted: .* \(49, 4, 15, 15\)"),
        (lambda table: table.long(), "int64 tensor"),
        (lambda table: table * float("nan"), "wanted: finite"),
        (lambda table: table + 0.1, "at scale 1 every function must be a single tap"),
        (lambda table: torch.cat([table[:, :3], table[:, :1]], dim=1), "at scale 2 every function must be a single tap, 2 pix"),
    ],
)
def test_tables_that_are_none(change, said):
    with pytest.raises(ModelError, match=said):
        models.create("disco", "mnist-scale-56", table=change(proxy_table(7, 15, MNIST[1])))


def test_pools_that_are_none():
    with pytest.raises(ModelError, match="option 'pool' cannot be 'median' on task 'mnist-scale-56'; allowed: average, max"):
        models.create("disco@pool=median", "mnist-scale-56")
    with pytest.raises(ModelError, match="pool='median' on mnist-scale-56: allowed: max, and average"):
        models.create("disco", "mnist-scale-56", pool="median")
    with pytest.raises(ModelError, match="pool='average' on mnist-scale-28"):
        models.create("sesn-vector", "mnist-scale-28", pool="average")
    with pytest.raises(ModelError, match="no option 'pool' on task 'mnist-scale-28'"):
        models.create("sesn-vector@pool=average", "mnist-scale-28")
