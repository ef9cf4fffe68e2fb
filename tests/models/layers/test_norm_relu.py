"""Normalisation, rectifier and dropout in one are the three one after the other."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import models
from models.layers.cpu.dropout import Dropout
from models.layers.cpu.norm_relu import rectified
from models.layers.layout import unfold_scales
from models.layers.scale_axis import ScaleBatchNorm
from models.reference import plain_layers


def separately(norm, maps, dropout):
    active = F.relu(norm(maps))
    return active if dropout is None else dropout(active)


def trained_once(how, norm, maps, dropout):
    torch.manual_seed(1)
    maps = maps.detach().requires_grad_()
    result = how(norm, maps, dropout)
    upstream = torch.randn(result.shape, dtype=maps.dtype, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad(result, [maps, norm.weight, norm.bias], upstream)
    return [result, *gradients, *norm.buffers()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [None, 0.0, 0.3])
@pytest.mark.parametrize("scales", [1, 3])
def test_results_gradients_statistics_and_draws(scales, p, dtype):
    torch.manual_seed(0)
    norm = (nn.BatchNorm2d if scales == 1 else ScaleBatchNorm)(5).to(dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    maps = torch.randn(scales * 4, 5, 6, 7, dtype=dtype)
    maps = maps if scales == 1 else unfold_scales(maps, scales)
    dropout = None if p is None else Dropout(p)
    expected = trained_once(separately, copy.deepcopy(norm), maps, dropout)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for one, other in zip(trained_once(rectified, norm, maps, dropout), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_only_the_maps_before_and_after_are_kept():
    norm, kept = nn.BatchNorm2d(8), {}
    maps = torch.randn(4, 8, 16, 16, requires_grad=True)

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        rectified(norm, maps, Dropout(0.3))
    assert sum(kept.values()) < 2.1 * maps.numel()


def test_evaluation_and_other_layouts_are_left_to_torch():
    torch.manual_seed(0)
    norm, maps = nn.BatchNorm2d(3), torch.randn(2, 3, 4, 5)
    last = maps.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(rectified(copy.deepcopy(norm), last), rectified(copy.deepcopy(norm), maps))
    norm.eval()
    assert torch.equal(rectified(norm, maps, Dropout(0.3).eval()), F.relu(norm(maps)))


@pytest.mark.parametrize("name", models.list_models("stl10+"))
def test_a_training_step_is_that_of_the_plain_network(name):
    torch.manual_seed(0)
    network = models.create(name, "stl10+", depth=10, widen_factor=2, dropout=0.0).double()
    images, labels = torch.randn(3, 3, 24, 24, dtype=torch.float64), torch.arange(3)
    F.cross_entropy(network(images), labels).backward()
    fast = {key: p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    with plain_layers(network):
        F.cross_entropy(network(images), labels).backward()
    slow = {key: p.grad for key, p in network.named_parameters() if p.grad is not None}
    assert fast.keys() == slow.keys()
    for key, gradient in slow.items():
        torch.testing.assert_close(fast[key], gradient, rtol=1e-7, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")
