"""DISCO's basis, layers and networks against the golden checks; cases with the published tables need these at hand."""

import pytest
import torch
from golden import (
    TASKS,
    assert_matches,
    beyond_cases,
    beyond_golden,
    beyond_networks,
    fill,
    fill_network,
    filled,
    published_table,
    tensors,
)
from torch.nn import functional as F

import models
from models.disco import EFFECTIVE_SIZE, SCALES, SIZE, STL_EFFECTIVE_SIZE, STL_SIZE, disco_filters
from models.layers.proxy_tables import dilated_functions
from models.layers.steerable import LiftingConv, ScaleConv


def ident(case):
    return case["id"]


def with_free(size, scales, effective_size, free):
    """A table of these free functions (F, free scales, K, K), in the order of the scales."""
    left = list(free.unbind(1))
    parts = [dilated_functions(effective_size, size, s) if float(s).is_integer() else left.pop(0) for s in scales]
    return torch.stack(parts, dim=1)


def filters(config, free=None):
    """Of a layer's case; the type of the basis is called `type` of a basis and `basis` of a layer."""
    size, scales, effective_size = config.get("size", config.get("kernel_size")), config["scales"], config["effective_size"]
    table = None if free is None else with_free(size, scales, effective_size, free)
    if "table" in config:
        table = published_table(effective_size, size)
    max_order = config.get("max_order") if config.get("type", config.get("basis")) == "B" else None
    return disco_filters(
        size, scales, effective_size, config["basis_min_scale"], max_order, config.get("mult", 1.4), table
    ).double()


def full_size(functions, dilation, size):
    """(F, k, k) with its taps `dilation` apart and zeros around: (F, K, K)."""
    taps = dilation * (functions.shape[-1] - 1) + 1
    dense = functions.new_zeros(len(functions), taps, taps)
    dense[:, ::dilation, ::dilation] = functions
    return F.pad(dense, [(size - taps) // 2] * 4)


@pytest.mark.parametrize("case", beyond_cases("disco_basis"), ids=ident)
def test_basis(case):
    given = filters(case["config"], tensors(case).get("free"))
    basis = given(torch.eye(given.functions, dtype=torch.float64))
    by_scale = [full_size(*one, case["config"]["size"]) for one in zip(basis, given.dilations, strict=True)]
    assert_matches(torch.stack(by_scale, dim=1), case["expect"]["normalised"])


@pytest.mark.parametrize("case", beyond_cases("disco_z2h", "disco_hh"), ids=ident)
def test_convolution(case):
    config, given = case["config"], tensors(case)
    kind, extra = (ScaleConv, {"extent": config["scale_size"]}) if case["layer"] == "disco_hh" else (LiftingConv, {})
    settings = {"stride": config["stride"], "bias": config["bias"], **extra}
    layer = kind(config["in_channels"], config["out_channels"], filters(config, given.get("free")), **settings).double()
    assert_matches(filled(layer, given)(given["input"]), case["expect"]["y"])


@pytest.mark.parametrize("case", beyond_networks("mnist_disco"), ids=ident)
def test_network(case):
    config = case["config"]
    task = TASKS[config["model"].split("_")[2]]
    table = published_table(EFFECTIVE_SIZE, SIZE) if "free" not in config else None
    if table is None:
        table = with_free(SIZE, SCALES, EFFECTIVE_SIZE, fill(config["free"]))
    network = models.create("disco", task, table=table).double()
    assert sum(p.numel() for p in network.parameters()) == beyond_golden()["param_counts"][config["model"]]
    fill_network(network, case["ordered_tensors"])
    assert_matches(network(fill(case["input"])), case["expect"]["logits"])
    if "logits_bilinear_upsampling" in case["expect"]:
        bilinear = models.create("disco@upsample=bilinear", task, table=table).double()
        fill_network(bilinear, case["ordered_tensors"])
        assert_matches(bilinear(fill(case["input"])), case["expect"]["logits_bilinear_upsampling"])


@pytest.mark.parametrize("case", beyond_networks("wrn_disco"), ids=ident)
def test_network_on_stl10(case):
    table = published_table(STL_EFFECTIVE_SIZE, STL_SIZE)
    network = models.create("disco", "stl10+", table=table, depth=10, widen_factor=2).double()
    fill_network(network, case["ordered_tensors"])
    assert_matches(network(fill(case["input"])), case["expect"]["logits"])


def test_parameters_on_stl10():
    with torch.device("meta"):
        network = models.create("disco", "stl10+")
    assert sum(p.numel() for p in network.parameters()) == beyond_golden()["param_counts"]["wrn_16_8_disco"]
