"""A batch in parts gives the whole batch's update: outputs, gradients, running statistics, dropout draws."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import models
from models.layers.microbatch import normalised_in_parts
from models.reference import plain_layers
from models.wide_resnet import split_batches

SMALL = {"depth": 10, "widen_factor": 2}


def trained_once(name, parts, dtype=torch.float64):
    torch.manual_seed(0)
    network = models.create(name, "stl10+", **SMALL).to(dtype)
    if parts > 1:
        split_batches(network, parts)
    images = torch.randn(5, 3, 24, 24, generator=torch.Generator().manual_seed(1)).to(dtype)
    torch.manual_seed(2)
    logits = network.train()(images)
    F.cross_entropy(logits, torch.arange(5)).backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}
    return logits, gradients, dict(network.named_buffers())


@pytest.mark.parametrize("parts", [2, 3])  # of five images: uneven parts too
@pytest.mark.parametrize("name", models.list_models("stl10+"))
def test_the_update_is_that_of_the_whole_batch(name, parts):
    whole, split = trained_once(name, 1), trained_once(name, parts)
    torch.testing.assert_close(split[0], whole[0], rtol=1e-9, atol=1e-9)
    assert split[1].keys() == whole[1].keys()
    for key, gradient in whole[1].items():
        torch.testing.assert_close(split[1][key], gradient, rtol=1e-8, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")
    for key, value in whole[2].items():
        torch.testing.assert_close(split[2][key], value, rtol=1e-9, atol=1e-9)


def test_statistics_of_a_part_would_give_another_update():
    """What plain accumulation of gradients does; the tests above would notice."""
    torch.manual_seed(0)
    norm, maps = nn.BatchNorm2d(2).double(), torch.randn(4, 2, 3, 3, dtype=torch.float64)
    (right,) = normalised_in_parts(norm, maps, 2, lambda normal: (normal,))
    torch.testing.assert_close(right, norm(maps))
    assert not torch.allclose(torch.cat([norm(part) for part in maps.chunk(2)]), right)


def kept_bytes(parts, layers=lambda network: nullcontext()):
    """Bytes kept for the backward pass, each storage once."""
    torch.manual_seed(0)
    network, kept = models.create("cnn", "stl10+", **SMALL).train(), {}
    split_batches(network, parts)

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), layers(network):
        logits = network(torch.randn(8, 3, 32, 32))
    total = sum(kept.values())
    logits.sum().backward()
    return total


def test_less_is_kept():
    split = kept_bytes(4)
    assert split < 0.6 * kept_bytes(1, plain_layers)
    assert split < 0.75 * kept_bytes(1)  # which keeps rectified and dropped maps once (rectified.py)


def test_evaluation_is_not_split():
    torch.manual_seed(0)
    network, images = models.create("cnn", "stl10+", **SMALL).eval(), torch.randn(4, 3, 24, 24)
    with torch.no_grad():
        whole = network(images)
        split_batches(network, 4)
        assert torch.equal(network(images), whole)


def test_half_precision_keeps_its_type():
    norm, maps = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5, requires_grad=True)
    (half,) = normalised_in_parts(norm, maps.bfloat16(), 2, lambda normal: (normal,))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), norm(maps), rtol=0, atol=0.03)


def test_what_cannot_be_split():
    with pytest.raises(models.ModelError, match="cannot be split"):
        split_batches(models.create("cnn", "mnist-scale-28"), 2)
    with pytest.raises(TypeError, match="not around GroupNorm"):
        normalised_in_parts(nn.GroupNorm(1, 2), torch.randn(2, 2, 3, 3), 2, lambda normal: (normal,))
