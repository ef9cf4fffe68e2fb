"""SESN with learned scales against the golden checks: lists of scales, layers with their gradients, networks."""

import pytest
import torch
from golden import assert_matches, beyond_cases, beyond_golden, beyond_networks, fill, fill_network, filled, tensors
from torch import nn

import models
from models.layers.steerable import LiftingConv, ScaleConv
from models.reference import plain_layers
from models.sesn_learned import LearnedFilters, LearnedScales, starting_parameter

PREFIX = "mnist_ses_learned_56"


def ident(case):
    return case["id"]


def learned_scales(config):
    """In float64; the finest scale is learned wherever it can be."""
    mode, numbers, scales = config["mode"], config["parameter"], config["num_scales"]
    learned = LearnedScales(mode, numbers, scales, config["basis_min_scale"], learn_min_scale=mode != "direct").double()
    with torch.no_grad():
        learned.parameter.copy_(torch.tensor(numbers, dtype=torch.float64))
        if mode != "direct":
            learned.basis_min_scale.fill_(config["basis_min_scale"])
    return learned


@pytest.mark.parametrize("case", beyond_cases("learned_scales"), ids=ident)
def test_scales(case):
    assert_matches(learned_scales(case["config"])(), case["expect"]["scales"], tolerance=1e-14)


@pytest.mark.parametrize("case", beyond_cases("learned_init"), ids=ident)
def test_starting_parameter(case):
    config = case["config"]
    found = starting_parameter(config["mode"], config["num_scales"], config["internal_scale_range"], config["basis_min_scale"])
    assert_matches(torch.tensor(found, dtype=torch.float64), case["expect"]["parameter"], tolerance=1e-14)


@pytest.mark.parametrize("way", ["read", "static", "plain"])
@pytest.mark.parametrize("case", beyond_cases("learned_z2h", "learned_hh"), ids=ident)
def test_convolution(case, way, monkeypatch):
    """Three ways to make the filters: with sizes that the host reads, with sizes that it does not know, and plainly."""
    monkeypatch.setattr(LearnedFilters, "may_read", lambda filters: way == "read")
    config, given = case["config"], tensors(case)
    learned = learned_scales(config)
    filters = LearnedFilters(learned, config["effective_size"], config["max_order"], config["mult"], config["support"])
    kind = ScaleConv if case["layer"] == "learned_hh" else LiftingConv
    layer = filled(kind(config["in_channels"], config["out_channels"], filters, bias=config["bias"]).double(), given)
    if way == "plain":
        with plain_layers(layer):
            found = layer(given["input"])
    else:
        found = layer(given["input"])
    (found * given["cotangent"]).sum().backward()
    results = {"y": found, "grad_weight": layer.weight.grad, "grad_parameter": learned.parameter.grad}
    if config["mode"] != "direct":
        results["grad_basis_min_scale"] = learned.basis_min_scale.grad
    results["kernel_size"] = torch.tensor([max(bank.shape[-1] for bank in filters(layer.weight))])
    assert results.keys() == case["expect"].keys()
    for name, result in results.items():
        assert_matches(result, case["expect"][name])


def network_of(case, **settings):
    config = case["config"]
    settings |= {"mode": config["mode"], "parameter": config["parameter"], "basis_min_scale": config["basis_min_scale"]}
    network = models.create("sesn-learned", "mnist-scale-56", **settings).double()
    (scales,) = (module for module in network.modules() if isinstance(module, LearnedScales))
    numbers = list(scales.parameters())
    assert [one is other for one, other in zip(network.parameters(), numbers, strict=False)] == [True]  # they come first
    with torch.no_grad():
        numbers[0].copy_(torch.tensor(config["parameter"], dtype=torch.float64))
    norms = {id(p) for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) for p in m.parameters()}
    fill_network(nn.ParameterList([p for p in [*network.parameters()][1:] if id(p) not in norms]), case["ordered_tensors"])
    return network.eval()


@pytest.mark.parametrize("task", ["mnist-scale-56", "mnist-scale-56+"])
@pytest.mark.parametrize("case", beyond_networks(PREFIX), ids=ident)
def test_network(case, task):
    images = fill(case["input"])
    assert_matches(network_of(case, relu=True)(images), case["expect"]["logits"])
    assert_matches(network_of(case)(images), case["expect"]["logits_without_relu"])


COUNTS = {name.removeprefix(f"{PREFIX}_"): count for name, count in beyond_golden()["param_counts"].items() if PREFIX in name}


@pytest.mark.parametrize("variant", COUNTS)
def test_parameter_counts(variant):
    mode, learned, _ = variant.partition("_and_basis_min")
    network = models.create(f"sesn-learned@mode={mode},learn_min_scale={bool(learned)}", "mnist-scale-56")
    names = [name.rpartition(".")[2] for name, _ in network.named_parameters()]
    assert sum(p.numel() for p in network.parameters()) == COUNTS[variant]
    assert names[: 1 + bool(learned)] == ["parameter", "basis_min_scale"][: 1 + bool(learned)]
