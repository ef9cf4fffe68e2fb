"""SEVF's layers and networks against the golden checks."""

import pytest
import torch
from golden import TASKS, assert_matches, cases, fill, fill_network, golden, networks, tensors
from torch import nn

import models
from models.sevf import ImageToVectorConv, VectorBatchNorm, VectorConv, VectorMaxPool


def ident(case):
    return case["id"]


def field(given):
    return torch.stack([given["u"], given["v"]], dim=1)


def assert_field(vectors, expected, suffix=""):
    for component, name in zip(vectors.unbind(1), "uv", strict=True):
        assert_matches(component, expected[name + suffix])


def arguments(config):
    assert config["padding"] == config["kernel_size"] // 2
    return [config[name] for name in ("in_channels", "out_channels", "kernel_size", "scales", "angles")]


@pytest.mark.parametrize("case", cases("sevf_scalar_conv"), ids=ident)
def test_image_convolution(case):
    given, layer = tensors(case), ImageToVectorConv(*arguments(case["config"])).double()
    with torch.no_grad():
        layer.weight.copy_(given["weight"])
    assert_field(layer(given["input"]), case["expect"])


@pytest.mark.parametrize(("sign", "suffix"), [("reference", ""), ("corrected", "_flipped_sign")])
@pytest.mark.parametrize("case", cases("sevf_vector_conv"), ids=ident)
def test_vector_convolution(case, sign, suffix):
    given, layer = tensors(case), VectorConv(*arguments(case["config"]), sign=sign).double()
    with torch.no_grad():
        layer.a.copy_(given["weight_u"])
        layer.b.copy_(given["weight_v"])
    assert_field(layer(field(given)), case["expect"], suffix)


@pytest.mark.parametrize("case", cases("sevf_vector_bn"), ids=ident)
def test_normalisation(case):
    config, vectors, expected = case["config"], field(tensors(case)), case["expect"]
    layer = VectorBatchNorm(config["num_features"], config["eps"], config["momentum"]).double()
    assert_field(layer(vectors), expected, "_train")
    assert_matches(layer.running_var, expected["running_var_after"])
    assert_field(layer.eval()(vectors), expected, "_eval")


@pytest.mark.parametrize("case", cases("sevf_vector_maxpool"), ids=ident)
def test_pooling(case):
    config = case["config"]
    pool = VectorMaxPool(nn.MaxPool2d(config["kernel_size"], config["stride"], config["padding"]))
    assert_field(pool(field(tensors(case))), case["expect"])


@pytest.mark.parametrize("case", networks("mnist_sevf_"), ids=ident)
def test_network(case):
    _, _, variant, size = case["config"]["model"].split("_")
    for suffix, output in (("", "logits"), ("@upsample=bilinear", "logits_bilinear_upsampling")):
        if output in case["expect"]:
            network = models.create(f"sevf-{variant}{suffix}", TASKS[size]).double()
            assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
            fill_network(network, case["ordered_tensors"])
            assert_matches(network(fill(case["input"])), case["expect"][output])
