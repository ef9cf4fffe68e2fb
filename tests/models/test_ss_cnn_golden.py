"""SS-CNN's basis, layer and networks against the golden checks."""

import pytest
import torch
from golden import TASKS, assert_matches, cases, fill, fill_network, golden, networks, tensors

import models
from models.ss_cnn import SteerableConv, effective_orders, log_radial_harmonics


def ident(case):
    return case["id"]


@pytest.mark.parametrize("case", cases("sscnn_conv"), ids=ident)
def test_convolution(case):
    config, given, expected = case["config"], tensors(case), case["expect"]
    sizes, orders = config["kernel_sizes"], config["k_range"]
    real, imaginary = log_radial_harmonics(max(sizes), orders)
    assert_matches(real, expected["filter_real"])
    assert_matches(imaginary, expected["filter_imag"])
    assert_matches(torch.tensor(effective_orders(max(sizes), orders), dtype=torch.float64), expected["effective_k"])

    channels = config["in_channels"], config["out_channels"]
    layer = SteerableConv(*channels, sizes, config["kernel_size"], orders, stride=config["stride"], relu=config["relu"])
    layer.double()
    with torch.no_grad():
        layer.real.copy_(given["mult_real"])
        layer.imaginary.copy_(given["mult_imag"])
    for size, filters in zip(sizes, layer.filters(), strict=True):
        assert_matches(filters, expected[f"kernel_size_{size}"])
    assert_matches(layer(given["input"]), expected["y"])


@pytest.mark.parametrize("case", networks("mnist_ss_"), ids=ident)
def test_network(case):
    task = TASKS[case["config"]["model"].rpartition("_")[2]]
    variants = [("ss-cnn", "logits", golden()["param_counts"][case["config"]["model"]]), ("ss-cnn@dead=drop", "logits", 486278)]
    if "logits_bilinear_upsampling" in case["expect"]:
        variants.append(("ss-cnn@dead=drop,upsample=bilinear", "logits_bilinear_upsampling", 486278))
    for name, output, count in variants:
        network = models.create(name, task).double()
        assert sum(p.numel() for p in network.parameters()) == count
        fill_network(network, case["ordered_tensors"])
        assert_matches(network(fill(case["input"])), case["expect"][output])
