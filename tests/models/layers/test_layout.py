import pytest
import torch
from properties import noise
from torch import nn
from torch.nn import functional as F

import models
from models.layers.layout import concatenate, fold_scales, from_hwnc, is_hwnc, to_hwnc, unfold_scales
from models.layers.plain import BatchNorm2d, MaxPool2d, PoolingLayer
from models.layers.scale_axis import first_maximum, stack_scales
from models.mnist_net import MnistNet

LAYOUTS = {
    "width innermost": lambda maps: maps,
    "channels last": lambda maps: maps.contiguous(memory_format=torch.channels_last),
    "HWNC layout": lambda maps: from_hwnc(to_hwnc(maps)),
}


def alike(fast, slow, *inputs):
    """Results and gradients agree."""
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    weights = noise(*slow.shape, seed=7)
    for found, expected in zip(*(torch.autograd.grad((out * weights).sum(), inputs) for out in (fast, slow)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [(2, 2, 0), (4, 4, 2), (3, 2, 1)])
def test_pooling_is_torchs_in_any_layout(layout, pool):
    maps = noise(3, 5, 11, 8).requires_grad_()
    alike(MaxPool2d(*pool)(LAYOUTS[layout](maps)), F.max_pool2d(maps, *pool), maps)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batch_normalisation_is_torchs_in_any_layout(layout):
    ours, torchs = BatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
    maps = noise(4, 5, 6, 7).requires_grad_()
    alike(ours(LAYOUTS[layout](maps)), torchs(maps), maps)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    alike(ours.eval()(LAYOUTS[layout](maps)), torchs.eval()(maps), maps)


def test_the_layout_stays():
    maps = LAYOUTS["HWNC layout"](noise(3, 5, 8, 8))
    assert is_hwnc(maps) and not is_hwnc(maps.contiguous())
    joined = concatenate([maps, maps], dim=1)
    for result in (MaxPool2d(2)(maps), BatchNorm2d(5).double()(maps), joined, first_maximum([maps, -maps])[0]):
        assert is_hwnc(result)
    assert to_hwnc(maps).data_ptr() == maps.data_ptr()  # nothing copied
    torch.testing.assert_close(joined, torch.cat([maps, maps], dim=1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scales_are_stacked_and_folded_in_any_layout(layout):
    maps = [noise(3, 5, 8, 6, seed=s).requires_grad_() for s in range(3)]
    stacked = stack_scales([LAYOUTS[layout](one) for one in maps])
    alike(stacked, torch.stack(maps, dim=2), *maps)
    folded = fold_scales(stacked)
    assert folded.data_ptr() == stacked.data_ptr()  # a view
    assert torch.equal(unfold_scales(folded, 3), stacked)


def test_a_maximum_over_maps_in_different_layouts():
    maps = [noise(3, 5, 8, 6, seed=s).requires_grad_() for s in range(3)]
    mixed = [LAYOUTS[layout](one) for layout, one in zip(LAYOUTS, maps, strict=True)]
    alike(first_maximum(mixed)[0], torch.stack(maps).amax(dim=0), *maps)


SMALL = models.list_models("mnist-scale-28+")
MNIST = [(model, "mnist-scale-28+") for model in SMALL]
MNIST += [(model, "mnist-scale-56") for model in models.list_models("mnist-scale-56") if model not in SMALL]
MNIST += [("sesn-vector@pool=average", "mnist-scale-56")]


@pytest.mark.parametrize(("model", "task"), MNIST)
def test_pooling_first_changes_nothing(model, task):
    torch.manual_seed(0)
    network = models.create(model, task=task).double()
    assert isinstance(network, MnistNet)
    images, parameters = noise(4, 1, 28, 28), [p for p in network.parameters() if p.requires_grad]
    drawn = torch.get_rng_state()
    early = network(images)
    torch.set_rng_state(drawn)  # dropout
    late = nn.Sequential.forward(network, images)
    torch.testing.assert_close(early, late, rtol=1e-9, atol=1e-9)
    weights = noise(*late.shape, seed=3)
    pairs = (torch.autograd.grad((out * weights).sum(), parameters, allow_unused=True) for out in (early, late))
    for found, expected in zip(*pairs, strict=True):
        if expected is None:
            assert found is None
        else:
            torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "model", ["cnn", "dss-scalar", "sesn-scalar", "sesn-vector", "sevf-scalar", "si-convnet", "sicnn", "ss-cnn"]
)
def test_every_convolution_of_a_scalar_network_pools_first(model):
    network = models.create(model, task="mnist-scale-28")
    pooled = []
    for layer in network:
        if isinstance(layer, PoolingLayer):
            layer.register_forward_hook(lambda layer, given, result: pooled.append((len(given), result.shape[-1])))
    network(torch.randn(2, 1, 28, 28))
    assert pooled == [(2, 14), (2, 7), (2, 2)]
