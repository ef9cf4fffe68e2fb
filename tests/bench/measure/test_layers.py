"""Which layers of a network are compared, and that it is said why others are not."""

import pytest
import torch
from test_equivariance import Apply, blobs
from torch import nn
from torch.nn import functional as F

import models
from bench.measure.equivariance import measure
from bench.measure.layers import find_layers, layers_of, responses

EMPTY = torch.zeros(1, 1, 112, 112)


class Plain(nn.Module):
    """A network of nobody's skeleton, as people write them."""

    def __init__(self, padding=1, stride=1, head=49):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride, padding=padding)
        self.features = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.ReLU(inplace=True))
        self.head = nn.Linear(4 * head, 10)

    def forward(self, images):
        maps = self.features(F.max_pool2d(F.relu_(self.stem(images)), 2))
        return self.head(F.max_pool2d(maps, 2).flatten(1))


class Named(Plain):
    def __init__(self, **layers):
        super().__init__()
        self.layers = layers

    def compared_layers(self):
        return [models.ComparedLayer(self.features, name="features", **self.layers), models.ComparedLayer(self.stem)]


def names(network):
    return [layer.name for layer in find_layers(network.eval(), EMPTY).layers]


def test_layers_of_a_network_without_a_skeleton_are_found_and_named():
    torch.manual_seed(0)
    errors = measure(Plain(), blobs(2))
    assert [(layer.name, layer.shape) for layer in errors.layers] == [
        ("image", [1, 112, 112]),
        ("layer 1", [4, 112, 112]),
        ("layer 2", [4, 56, 56]),
    ]
    assert errors.notes[:2] == ["layer 1 is the output of stem (Conv2d)", "layer 2 is the output of features.0 (Conv2d)"]
    assert (
        "what comes later is not seen: on 112 pixels the network raises RuntimeError" in errors.notes[2]
        and len(errors.notes) == 3
    )
    assert errors.layers[1].translation < 1e-12 and errors.layers[2].translation < 1e-9


def test_a_layer_found_has_the_error_that_it_has_on_the_skeleton():
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, 5, padding=2)
    body = nn.Sequential(convolution, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 196, 10))
    known = measure(body, blobs(2)).layers[1]

    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, images):
            return self.body[3](F.max_pool2d(self.body[0](images), 2).flatten(1))

    found = measure(Hidden(), blobs(2)).layers[1]
    assert (found.scale, found.translation) == (known.scale, known.translation)


def test_what_follows_may_overwrite_a_layers_output():
    """The rectifier works in place; what is compared is the convolution's output itself."""
    torch.manual_seed(0)
    network = Plain().eval()
    seen = find_layers(network, EMPTY)
    with torch.no_grad():
        _, first, second = responses(network, seen.layers, torch.randn(1, 1, 112, 112))
    assert seen.layers[1].module is network.stem and first.min() < 0 and second.min() < 0


def test_a_network_names_its_layers():
    network = Named(collapse=lambda maps: maps[:, :2], strided=True)
    errors = measure(network, blobs(2))
    assert [(layer.name, layer.shape) for layer in errors.layers[1:]] == [("features", [2, 56, 56]), ("layer 2", [4, 112, 112])]
    assert find_layers(network, EMPTY).layers[1].corner and not find_layers(network, EMPTY).layers[2].corner
    assert errors.notes == []


def test_maps_with_a_scale_axis_and_several_maps_are_made_one():
    class Scales(nn.Module):
        def __init__(self, several):
            super().__init__()
            self.several, self.layer = several, nn.Conv2d(1, 6, 3, padding=1)
            self.lift = Apply(lambda maps: maps.chunk(3, 1) if several else maps.unflatten(1, (2, 3)))

        def compared_layers(self):
            return [models.ComparedLayer(self.lift)]

        def forward(self, images):
            maps = self.lift(self.layer(images))
            return (
                torch.cat([one.mean((2, 3)) for one in maps], 1).repeat(1, 5)[:, :10] if self.several else maps.sum((2, 3, 4))
            )

    assert measure(Scales(True), blobs()).layers[1].shape == [2, 112, 112]
    seen = find_layers(Scales(False).eval(), EMPTY)
    assert len(seen.layers) == 2 and seen.notes == []


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Plain(padding=0), "layer 1 is not compared: its maps are 110 pixels wide on an image of 112, no whole part of it"),
        (Plain(stride=8), "layer 2 is not compared: its maps are 7 pixels wide on an image of 112, too few to compare"),
        (Named(collapse=lambda maps: maps.mean((2, 3))), "features is not compared: it gives a tensor of shape (1, 4)"),
        (
            Named(collapse=lambda maps: 1 / 0),
            "features is not compared: on 112 x 112 pixels the network raises Zero",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "no layer is seen: no module that holds weights gives maps"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.Unflatten(1, (1, 28, 28)), nn.MaxPool2d(2)),
            "layer 1 is not compared: on 112 x 112 pixels the network raises RuntimeError",
        ),
    ],
)
def test_why_a_layer_is_not_seen(network, why):
    notes = find_layers(network.eval(), EMPTY).notes
    assert any(note.startswith(why) for note in notes), notes
    if not find_layers(network, EMPTY).layers:
        assert "compared_layers()" in notes[-1]


@pytest.mark.parametrize("given", [None, "stem", [3]])
def test_what_is_no_list_of_layers_is_an_error(given):
    network = Named()
    network.compared_layers = lambda: given
    with pytest.raises(models.ModelError, match=r"wanted: a list of models\.ComparedLayer"):
        find_layers(network, EMPTY)
    network.compared_layers = lambda: [models.ComparedLayer(nn.ReLU())]
    with pytest.raises(models.ModelError, match="no module of the network"):
        find_layers(network, EMPTY)


def test_strided_networks_are_compared_on_the_pixels_that_strides_leave():
    assert {layer.corner for layer in find_layers(Plain(stride=2, head=9).eval(), EMPTY).layers[1:]} == {True}
    assert {layer.corner for layer in find_layers(Plain().eval(), EMPTY).layers[1:]} == {False}


def test_every_network_of_the_suite_shows_its_layers():
    for name in [model.name for model in models.infos() if model.supports("mnist-scale-56") and not model.source]:
        network = models.create(name, "mnist-scale-56").eval()
        side = 56
        seen = find_layers(network, torch.zeros(1, 1, side, side))
        if name == "invar-pdes":  # on no skeleton: its steps are one module
            assert [note for note in seen.notes if note.startswith("layer")] == ["layer 1 is the output of 1 (Pde)"]
        else:
            assert names_of(seen) == ["image", "layer 1", "layer 2", "layer 3"] and seen.notes == [], name
            assert len(layers_of(network)) == 3


def names_of(seen):
    return [layer.name for layer in seen.layers]
