"""SiCNN's filter bank, layer and networks against the golden checks."""

import pytest
import torch
from golden import TASKS, assert_matches, cases, fill, fill_network, golden, networks, tensors
from torch.nn import functional as F

import models
from models.sicnn import ColumnConv, bank_size


def ident(case):
    return case["id"]


@pytest.mark.parametrize("index", ["ratio", "factor"])
@pytest.mark.parametrize("case", cases("sicnn_conv"), ids=ident)
def test_convolution(case, index):
    config, given, expected = case["config"], tensors(case), case["expect"]
    size, scales = config["kernel_size"], config["scales"]
    layer = ColumnConv(
        config["in_channels"],
        config["out_channels"],
        size,
        scales,
        lifting=config["num_input_scales"] == 1,
        stride=config["stride"],
        index=index,
    ).double()
    with torch.no_grad():
        layer.weight.copy_(given["weight"])
    if f"bank_{index}_rule" in expected:
        filters = layer.filters(layer.weight)
        bank = [F.pad(column, [(bank_size(size, scales) - column.shape[-1]) // 2] * 4) for column in filters]
        assert_matches(torch.cat(bank), expected[f"bank_{index}_rule"])
    assert_matches(layer(given["input"]), expected[f"y_{index}_rule"])


@pytest.mark.parametrize("case", networks("mnist_xu_"), ids=ident)
def test_network(case):
    task = TASKS[case["config"]["model"].rpartition("_")[2]]
    variants = [("sicnn", "logits_ratio_rule"), ("sicnn@index=factor", "logits")]
    if "logits_bilinear_upsampling" in case["expect"]:
        variants.append(("sicnn@index=factor,upsample=bilinear", "logits_bilinear_upsampling"))
    for name, output in variants:
        network = models.create(name, task).double()
        assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
        fill_network(network, case["ordered_tensors"])
        assert_matches(network(fill(case["input"])), case["expect"][output])
