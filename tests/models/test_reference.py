"""Whole networks, fast against plain, and what the plain form promises."""

import pytest
import torch
from properties import EXACT, noise
from torch import nn

import models
from models.reference import plain, plain_layers

TASKS = ("mnist-scale-28", "mnist-scale-56")


@pytest.mark.parametrize(("model", "task"), [(model, task) for task in TASKS for model in models.list_models(task)])
def test_networks_with_fast_and_with_plain_layers_agree(model, task):
    network, images = models.create(model, task).double().eval(), noise(2, 1, 28, 28)
    fast = network(images)
    with plain_layers(network):
        slow = network(images)
    torch.testing.assert_close(fast, slow, **EXACT)
    assert torch.equal(network(images), fast)  # the fast layers are back


def test_a_layer_without_a_plain_form():
    with pytest.raises(TypeError, match="Linear has no plain form"):
        plain(nn.Linear(2, 2), torch.zeros(1, 2))
