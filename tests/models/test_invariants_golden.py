"""Differential invariants: kernels, features, layer and networks against the golden checks."""

import pytest
import torch
from golden import assert_matches, beyond_cases, beyond_golden, beyond_networks, fill, fill_network, tensors

import models
from models.differential_invariants import InvarLayer, invariants
from models.layers.gaussian_derivatives import gaussian, kernels

COUNTS = {"invar-layer": 485_991, "invar-pdes": 484_330}


def ident(case):
    return case["id"]


@pytest.mark.parametrize("case", beyond_cases("invar_kernels"), ids=ident)
def test_kernels(case):
    assert_matches(kernels(gaussian()), case["expect"]["kernels"], 1e-12)


@pytest.mark.parametrize("case", beyond_cases("invar_features"), ids=ident)
def test_features(case):
    maps = tensors(case)["input"] + case["config"].get("added_constant", 0)
    assert_matches(invariants(maps, gaussian()), case["expect"]["features"], 1e-9)


@pytest.mark.parametrize("case", beyond_cases("invar_layer"), ids=ident)
def test_layer_and_its_gradients(case):
    config, given, expected = case["config"], tensors(case), case["expect"]
    layer = InvarLayer(config["in_channels"], config["out_channels"], gaussian(), config["stride"]).double()
    with torch.no_grad():
        for parameter, name in zip(layer.parameters(), ("weight1", "bias1", "weight2", "bias2"), strict=True):
            parameter.copy_(given[name])
    maps = given["input"].requires_grad_()
    y = layer(maps)
    of_maps, of_weight = torch.autograd.grad((y**2).sum() / 2, [maps, layer.invariants.weight])
    for found, name in ((y, "y"), (of_maps, "grad_input"), (of_weight, "grad_weight1")):
        assert_matches(found, expected[name], 1e-9)


@pytest.mark.parametrize("case", beyond_networks("mnist_invar_"), ids=ident)
def test_network(case):
    config = dict(case["config"])
    model = {"mnist_invar_layer_28": "invar-layer", "mnist_invar_pdes_28": "invar-pdes"}[config.pop("model")]
    network = models.create(model, "mnist-scale-28", **config).double()
    fill_network(network, case["ordered_tensors"])
    assert_matches(network(fill(case["input"])).log_softmax(dim=1), case["expect"]["log_softmax"], 1e-6)


def test_the_golden_cases_are_all_here():
    layers = [case["layer"] for case in beyond_cases("invar_kernels", "invar_features", "invar_layer")]
    assert (len(layers), len(beyond_networks("mnist_invar_"))) == (6, 4)


@pytest.mark.parametrize(("model", "count"), COUNTS.items())
def test_parameters(model, count):
    network = models.create(model, "mnist-scale-28")
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert count in beyond_golden()["param_counts"].values()
