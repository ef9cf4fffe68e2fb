"""DSS's lifting, layer and networks against the golden checks."""

import pytest
import torch
from golden import TASKS, assert_matches, cases, fill, fill_network, filled, golden, networks, tensors

import models
from models.dss import DilatedScaleConv, GaussianLifting


def ident(case):
    return case["id"]


@pytest.mark.parametrize("case", cases("dss_lift"), ids=ident)
def test_lifting(case):
    config = case["config"]
    lifting = GaussianLifting(config["n_scales"], config["zero_scale"]).double()
    for level in range(1, config["n_scales"]):
        assert_matches(torch.tensor(lifting.kernels[level - 1], dtype=torch.float64), case["expect"][f"kernel1d_{level}"])
    assert_matches(lifting(tensors(case)["input"]), case["expect"]["y"], tolerance=1e-5)


@pytest.mark.parametrize("case", cases("dss_conv"), ids=ident)
def test_convolution(case):
    config, given = case["config"], tensors(case)
    layer = DilatedScaleConv(
        config["in_channels"],
        config["out_channels"],
        config["kernel_size"],
        config["out_scales"],
        extent=config["kernel_scales"],
        stride=config["stride"],
    ).double()
    assert_matches(filled(layer, given)(given["input"]), case["expect"]["y"])


@pytest.mark.parametrize("case", networks("mnist_dss_"), ids=ident)
def test_network(case):
    _, _, variant, size = case["config"]["model"].split("_")
    for suffix, output in (("", "logits"), ("@upsample=bilinear", "logits_bilinear_upsampling")):
        if output in case["expect"]:
            network = models.create(f"dss-{variant}{suffix}", TASKS[size]).double()
            assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
            fill_network(network, case["ordered_tensors"])
            assert_matches(network(fill(case["input"])), case["expect"][output], tolerance=1e-5)
