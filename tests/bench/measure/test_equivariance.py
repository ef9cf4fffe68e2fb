"""The equivariance error: right where its value is known, and what theory says of each method."""

import pytest
import torch
from torch import nn

import models
from bench.errors import BenchError
from bench.measure.equivariance import _scale_error, interior, measure, positions, relative_error, resampling
from bench.measure.layers import Layer, canvas_of, layers_of
from bench.measure.probe_images import PROBED_FACTORS, Pictures
from models.layers.steerable import LiftingConv
from models.sesn import hermite_filters

KEEP_TRANSLATION = ("cnn", "dss-scalar", "dss-vector", "sesn-scalar", "sesn-vector", "sicnn", "ss-cnn")
RESAMPLE = ("sevf-scalar", "sevf-vector", "si-convnet")


def blobs(count=1, task="mnist-scale-28", side=28, width=3.0):
    """Smooth images: two Gaussian bumps each, so that resampling costs next to nothing."""
    x = torch.arange(side) - (side - 1) / 2
    images = []
    for n in range(count):
        centres = ((-3.0 - n, 2.0), (3.0, -2.0 + n))
        bumps = [torch.exp(-((x[:, None] - a) ** 2 + (x - b) ** 2) / (2 * width**2)) for a, b in centres]
        images.append((255 * sum(bumps).clamp(max=1)).round().to(torch.uint8))
    channels = 1 if side == 28 else 3
    return Pictures(task, torch.stack(images)[:, None].expand(-1, channels, -1, -1).contiguous(), "blobs")


class Apply(nn.Module):
    """Any function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, maps):
        return self.function(maps)


def with_head(*layers):
    """A network of the MNIST skeleton's kind, whose logits are means over the map."""
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def derivative():
    """The central difference along rows."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    layer.weight.data = torch.tensor([[0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]])[None, None]
    return layer


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize(("side", "factor"), [(96, 0.5), (48, 1.6), (24, 2 / 3)])
def test_resampling_is_exact_for_quadratics(corner, side, factor):
    rows, matrix = resampling(side, factor, 96, corner)
    x = positions(side, 96, corner)
    assert len(rows) > 0 and (x[rows].abs() < 24).all() and (x[rows].abs() < 24 * factor).all()
    torch.testing.assert_close(matrix @ (x**2 + x + 1), (x[rows] / factor) ** 2 + x[rows] / factor + 1)


def test_pixels_of_smaller_maps_lie_where_pooling_and_strides_put_them():
    assert positions(28, 56, corner=False)[:2].tolist() == [-27.0, -25.0]  # between pixels 0 and 1, 2 and 3
    assert positions(28, 56, corner=True)[:2].tolist() == [-27.5, -25.5]  # on pixels 0 and 2
    assert len(interior(56, 112, corner=False)) == 28


def test_what_commutes_with_scaling_has_no_error_but_the_resampling():
    errors = measure(with_head(Apply(lambda x: (x + 0.3).square())), blobs(2))
    image, layer = errors.layers
    assert (image.name, layer.name) == ("image", "layer 1")
    assert max(image.scale) < 1e-3 and max(layer.scale) < 3e-3
    assert image.translation == layer.translation == 0


def test_a_derivative_has_the_error_that_calculus_gives_it():
    # (L f)' = (L f') / s, so the error is (1 - 1/s)^2; the smallest bumps are too narrow for a central difference.
    errors = measure(with_head(derivative()), blobs(2, width=4.0))
    assert errors.layers[1].scale[2:] == pytest.approx([(1 - 1 / s) ** 2 for s in PROBED_FACTORS[2:]], rel=0.15, abs=0.003)
    assert errors.layers[1].scale[:2] == pytest.approx([1.0, 0.25], rel=0.4)


def test_a_constant_in_the_response_does_not_hide_the_error():
    plain, shifted = derivative(), derivative()
    shifted.bias = nn.Parameter(torch.tensor([100.0]))
    expected, found = (measure(with_head(layer), blobs()).layers[1] for layer in (plain, shifted))
    assert found.scale == pytest.approx(expected.scale, rel=1e-2)


def test_the_error_of_logits_is_that_of_invariance():
    # The mean over the image grows as s^2, so the error is (s^2 - 1)^2; and no logit changes places with another.
    errors = measure(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), blobs(2))
    assert errors.layers == []
    assert errors.network.scale == pytest.approx([(s**2 - 1) ** 2 for s in PROBED_FACTORS], rel=0.15)
    assert errors.changed_answers == [0.0] * len(PROBED_FACTORS)


def test_sesn_comes_closer_the_less_its_filters_are_truncated():
    # docs/methods.md 3.2 E1: scale 2 of an image is scale 1 of its half; there 0.057, 0.006, 0.0002 (here squared).
    x = torch.arange(112) - 55.5

    def image(scale):
        places = ((-8.0, 5.0), (8.0, -2.0), (0.0, 9.0))
        bumps = [torch.exp(-((x[:, None] - scale * a) ** 2 + (x - scale * b) ** 2) / (2 * (4 * scale) ** 2)) for a, b in places]
        return sum(bumps)[None, None]

    def error(size):
        torch.manual_seed(0)
        lifting = LiftingConv(1, 8, hermite_filters(size, (1.0, 2.0), 3))
        with torch.no_grad():
            whole, half = lifting(image(1.0))[:, :, 1], lifting(image(0.5))[:, :, 0]
        return _scale_error(Layer("sesn", 1, torch.Tensor), whole, half, 0.5, 112).item()

    at_9, at_13, at_17 = error(9), error(13), error(17)
    assert at_9 < 1e-2 and at_13 < at_9 / 9 and at_17 < at_13 / 9 and at_17 < 1e-5


@pytest.mark.parametrize("name", KEEP_TRANSLATION + RESAMPLE)
def test_translation_is_exact_where_nothing_is_resampled(name):
    torch.manual_seed(0)
    layers = measure(models.create(name, "mnist-scale-28"), blobs()).layers
    assert [layer.name for layer in layers] == ["image", "layer 1", "layer 2", "layer 3"]
    assert [layer.shape[1] for layer in layers] == [112, 112, 56, 28]
    errors = [layer.translation for layer in layers[1:3]]
    if name in RESAMPLE:
        assert min(errors) > 1e-3
    else:
        assert errors[0] < 1e-12 and errors[1] < 1e-5  # the second sees a little of the border, SiCNN most


def test_sesn_is_nearer_to_equivariance_than_the_plain_network():
    def layers(name):
        torch.manual_seed(0)
        return measure(models.create(name, "mnist-scale-28"), blobs(width=1.5)).layers[1:]

    for ours, plain in zip(layers("sesn-scalar"), layers("cnn"), strict=True):
        assert sum(ours.scale) < sum(plain.scale) / 2


def test_the_layers_of_a_wide_resnet():
    torch.manual_seed(0)
    for name, channels in (("sesn-a", 16), ("sicnn", 16), ("dss", 16), ("cnn", 16), ("disco", 16)):
        network = models.create(name, "stl10+", depth=10, widen_factor=2)
        assert {layer.corner for layer in layers_of(network)} == {name != "disco"}  # which pools where others stride
        assert [layer.name for layer in layers_of(network)] == ["first convolution", "block 1", "block 2", "block 3"]
        errors = measure(network, blobs(1, "stl10+", side=96, width=12.0))
        assert errors.layers[1].shape == [channels, 96, 96] and errors.layers[-1].shape[1:] == [24, 24]
        assert errors.layers[1].translation < 1e-12


@pytest.mark.parametrize("name", ["disco", "disco@pool=max", "sesn-vector@pool=average", "sesn-basis@basis=fourier-bessel"])
def test_layers_of_other_pools_and_bases(name):
    """Each rectified convolution before its pooling, whichever pools; a shift moves what is seen of it."""
    torch.manual_seed(0)
    network = models.create(name, "mnist-scale-56")
    layers = measure(network, blobs()).layers
    assert [layer.name for layer in layers] == ["image", "layer 1", "layer 2", "layer 3"]
    assert [layer.shape for layer in layers] == [[1, 56, 56], [32, 112, 112], [63, 56, 56], [95, 28, 28]]
    assert layers[1].translation < 1e-12 and layers[2].translation < 1e-5


def test_the_56_models_see_a_canvas_of_as_many_pixels_after_doubling():
    assert canvas_of(models.create("cnn", "mnist-scale-56"), 28) == 56
    assert canvas_of(models.create("cnn", "mnist-scale-28"), 28) == 112


def test_another_skeleton_is_measured_at_its_logits(plugin):
    errors = measure(models.create("tiny-net", "mnist-scale-28"), blobs())
    assert errors.layers == [] and errors.network.translation > 0
    assert "no module that holds weights gives maps" in errors.notes[0] and "compared_layers()" in errors.notes[-1]


def test_no_response_is_an_error_that_says_so():
    with pytest.raises(BenchError, match="layer 1 gives images no finite response"):
        measure(with_head(Apply(torch.zeros_like)), blobs())
    with pytest.raises(BenchError, match="the network gives images no finite response"):
        measure(nn.Sequential(Apply(lambda x: x * torch.nan), nn.Flatten()), blobs())


def test_an_image_without_a_response_is_left_out():
    expected = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert relative_error("x", expected, torch.tensor([[2.0, 1.0], [5.0, 5.0], [0.0, 1.0]])).tolist() == [0.25, 0.0]
