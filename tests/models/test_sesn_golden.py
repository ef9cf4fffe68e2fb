"""SESN's basis, layers and networks against the golden checks."""

import pytest
import torch
from golden import TASKS, assert_matches, cases, fill, fill_network, filled, golden, networks, tensors

import models
from models.layers.steerable import LiftingConv, ScaleConv, ScaleConv1x1
from models.sesn import hermite_filters, steerable_basis


def ident(case):
    return case["id"]


def basis_arguments(config):
    max_order = config.get("max_order") if config.get("type", config.get("basis")) == "B" else None
    return {"max_order": max_order, "mult": config.get("mult", 1.4)}


def pad_to(functions, size):
    margin = (size - functions.shape[-1]) // 2
    return torch.nn.functional.pad(functions, [margin] * 4)


@pytest.mark.parametrize("case", cases("ses_basis"), ids=ident)
def test_basis(case):
    config = case["config"]
    raw, normalised = steerable_basis(config["size"], config["scales"], config["effective_size"], **basis_arguments(config))
    for name, by_scale in (("raw", raw), ("normalised", normalised)):
        padded = torch.stack([pad_to(functions, config["size"]) for functions in by_scale], dim=1)
        assert_matches(padded, case["expect"][name])


@pytest.mark.parametrize("case", cases("ses_z2h", "ses_hh"), ids=ident)
def test_convolution(case):
    config, given = case["config"], tensors(case)
    kind, extra = (ScaleConv, {"extent": config["scale_size"]}) if case["layer"] == "ses_hh" else (LiftingConv, {})
    filters = hermite_filters(config["kernel_size"], config["scales"], config["effective_size"], **basis_arguments(config))
    settings = {"stride": config["stride"], "bias": config["bias"], **extra}
    layer = kind(config["in_channels"], config["out_channels"], filters, **settings).double()
    assert_matches(filled(layer, given)(given["input"]), case["expect"]["y"])


@pytest.mark.parametrize("case", cases("ses_1x1"), ids=ident)
def test_convolution_1x1(case):
    config, given = case["config"], tensors(case)
    layer = ScaleConv1x1(config["in_channels"], config["out_channels"], stride=config["stride"]).double()
    assert_matches(filled(layer, given)(given["input"]), case["expect"]["y"])


@pytest.mark.parametrize("case", networks("mnist_ses_"), ids=ident)
def test_network(case):
    _, _, variant, size = case["config"]["model"].split("_")
    network = models.create(f"sesn-{variant}", TASKS[size]).double()
    assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
    fill_network(network, case["ordered_tensors"])
    images = fill(case["input"])
    assert_matches(network(images), case["expect"]["logits"])
    if "logits_bilinear_upsampling" in case["expect"]:
        bilinear = models.create(f"sesn-{variant}@upsample=bilinear", TASKS[size]).double()
        fill_network(bilinear, case["ordered_tensors"])
        assert_matches(bilinear(images), case["expect"]["logits_bilinear_upsampling"])
