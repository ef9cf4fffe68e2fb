"""SI-ConvNet's layer and networks against the golden checks."""

import pytest
from golden import TASKS, assert_matches, cases, fill, fill_network, filled, golden, networks, tensors

import models
from models.si_convnet import ScaleInvariantConv


def ident(case):
    return case["id"]


@pytest.mark.parametrize("case", cases("siconvnet_conv"), ids=ident)
def test_convolution(case):
    config, given = case["config"], tensors(case)
    layer = ScaleInvariantConv(
        config["in_channels"],
        config["out_channels"],
        config["kernel_size"],
        config["scales"],
        stride=config["stride"],
        bias=config["bias"],
    ).double()
    assert_matches(filled(layer, given)(given["input"]), case["expect"]["y"])


@pytest.mark.parametrize("case", networks("mnist_kanazawa_"), ids=ident)
def test_network(case):
    task = TASKS[case["config"]["model"].rpartition("_")[2]]
    for name, output in (("si-convnet", "logits"), ("si-convnet@upsample=bilinear", "logits_bilinear_upsampling")):
        if output in case["expect"]:
            network = models.create(name, task).double()
            assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
            fill_network(network, case["ordered_tensors"])
            assert_matches(network(fill(case["input"])), case["expect"][output])
