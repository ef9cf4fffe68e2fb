"""SESN's other bases and their networks against the golden checks."""

import pytest
import torch
from golden import assert_matches, beyond_cases, beyond_golden, beyond_networks, fill, fill_network

import models
from models.sesn import steerable_basis
from models.sesn_basis import BASES, bspline_basis, fourier_bessel_basis, log_radial_basis

NAMES = {"hermite_b": "hermite", "bspline": "bspline", "lr_harmonics": "log-radial", "fb": "fourier-bessel"}
NETWORKS = [case for name in NAMES for case in beyond_networks(f"mnist_ses_{name.removesuffix('_b')}_")]


def ident(case):
    return case["id"]


def tables(config):
    """What a golden case asks for: (raw, normalised)."""
    shape = (config["size"], config["scales"], config["effective_size"])
    match config["type"]:
        case "hermite_b":
            return steerable_basis(*shape, config["max_order"], config["mult"])
        case "bspline":
            return bspline_basis(*shape, mult=config["mult"], order=config["order"])
        case "lr_harmonics":
            settings = {"orders": config["max_order"], "rotations": config["num_rotations"], "width": config["sigma"]}
            return log_radial_basis(*shape, **settings)
        case "fb":
            return fourier_bessel_basis(*shape)


def padded(functions, size):
    return torch.nn.functional.pad(functions, [(size - functions.shape[-1]) // 2] * 4)


@pytest.mark.parametrize("case", beyond_cases("ses_basis"), ids=ident)
def test_basis(case):
    _, found = tables(case["config"])
    by_scale = [padded(functions, case["config"]["size"]) for functions in found]
    assert_matches(torch.stack(by_scale, dim=1), case["expect"]["normalised"], 1e-9)


@pytest.mark.parametrize("case", beyond_cases("ses_basis"), ids=ident)
def test_configurations_are_those_of_the_golden_cases(case):
    configuration = BASES[case["id"].rsplit("_", 1)[1]][NAMES[case["config"]["type"]]]
    assert configuration.sigmas == case["config"]["scales"]
    for found, expected in zip(configuration.tables()[1], tables(case["config"])[1], strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("case", NETWORKS, ids=ident)
def test_network(case):
    model = case["config"]["model"]
    basis = next(name for key, name in NAMES.items() if key.removesuffix("_b") in model)
    network = models.create(f"sesn-basis@basis={basis}", "mnist-scale-56").double()
    assert sum(p.numel() for p in network.parameters()) == beyond_golden()["param_counts"][model] == 494_549
    fill_network(network, case["ordered_tensors"])
    assert_matches(network(fill(case["input"])), case["expect"]["logits"])


def test_there_is_a_network_of_every_basis():
    assert len(NETWORKS) == 4
