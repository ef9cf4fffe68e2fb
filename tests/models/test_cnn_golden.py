"""The plain networks against the golden checks."""

import pytest
from golden import TASKS, assert_matches, fill, fill_network, golden, networks

import models


@pytest.mark.parametrize("case", networks("mnist_cnn_"), ids=lambda case: case["id"])
def test_network(case):
    task = TASKS[case["config"]["model"].rpartition("_")[2]]
    for name, output in (("cnn", "logits"), ("cnn@upsample=bilinear", "logits_bilinear_upsampling")):
        if output in case["expect"]:
            network = models.create(name, task).double()
            assert sum(p.numel() for p in network.parameters()) == golden()["param_counts"][case["config"]["model"]]
            fill_network(network, case["ordered_tensors"])
            assert_matches(network(fill(case["input"])), case["expect"][output])
