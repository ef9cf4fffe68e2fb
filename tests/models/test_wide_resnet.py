"""The STL-10 networks: golden checks, parameter counts, and what holds of all of them."""

import pytest
import torch
from golden import assert_matches, beyond_golden, fill, fill_network, golden, is_dead, networks
from properties import assert_gradients_agree
from torch import nn
from torch.nn import functional as F

import models
from models.reference import plain_layers
from models.ss_cnn import SteerableConv
from models.wide_resnet import wide_resnet

NAMES = {
    "": "cnn",
    "_xu": "sicnn",
    "_kanazawa": "si-convnet",
    "_ss": "ss-cnn",
    "_dss": "dss",
    "_ses_a": "sesn-a",
    "_ses_b": "sesn-b",
    "_ses_c": "sesn-c",
}
ALL = [*NAMES.values(), "ss-cnn-multisize", "disco"]
SMALL = {"depth": 10, "widen_factor": 2}


def name_of(case):
    return NAMES[case["config"]["model"].removeprefix("wrn").removesuffix("_depth10_widen2")]


def images(count, extent=96):
    return torch.randn(count, 3, extent, extent, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("case", networks("wrn_"), ids=lambda case: case["id"])
def test_golden_networks(case):
    rules = {"logits": "factor", "logits_ratio_rule": "ratio"}
    for output, expected in case["expect"].items():
        name = name_of(case) + (f"@index={rules[output]}" if name_of(case) == "sicnn" else "")
        network = fill_network(models.create(name, "stl10+", **SMALL).double(), case["ordered_tensors"])
        with torch.no_grad():
            assert_matches(network(fill(case["input"])), expected)


def test_all_are_there():
    assert sorted(ALL) == models.list_models("stl10+")
    assert len(networks("wrn_")) == 8


@pytest.mark.parametrize("name", ALL)
def test_parameter_counts_and_initialisation(name):
    torch.manual_seed(0)
    network = models.create(name, "stl10+")
    published = {name: golden()["param_counts"][f"wrn_16_8{suffix}"] for suffix, name in NAMES.items()}
    published |= {"ss-cnn-multisize": published["ss-cnn"], "disco": beyond_golden()["param_counts"]["wrn_16_8_disco"]}
    assert sum(p.numel() for p in network.parameters()) == published[name]
    for layer in network.modules():
        weight = getattr(layer, "weight", None)
        if weight is None or weight.ndim < 3 or name == "dss":
            continue
        if weight.numel() > 10_000:  # 32 standard deviations of the estimate and more below the 5 % asked for
            std = (2 * weight.shape[1] / weight.numel()) ** 0.5
            assert abs(weight.std().item() / std - 1) < 0.05
            assert abs(weight.mean().item()) < 0.05 * std
    assert not network[-1].bias.any()


@pytest.mark.parametrize("name", ALL)
def test_walk(name):
    torch.manual_seed(0)
    network, batch = models.create(name, "stl10+", **SMALL), images(2)
    with torch.no_grad():
        logits = network.eval()(batch)
        assert logits.shape == (2, 10)
        torch.testing.assert_close(network(batch[1:]), logits[1:], rtol=0, atol=1e-4 * logits.abs().max().item())
        torch.testing.assert_close(
            network.double()(batch.double()).float(), logits, rtol=0, atol=1e-4 * logits.abs().max().item()
        )
    network.float().train()
    F.cross_entropy(network(batch), torch.arange(2)).backward()
    for key, parameter in network.named_parameters():
        if is_dead(key):
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.any(), key


def small(name):
    torch.manual_seed(0)
    return models.create(name, "stl10+", **SMALL)


@pytest.mark.parametrize("name", ALL)
def test_gradients_in_float32_are_those_in_float64(name):
    """What the next test asks of a GPU can be met."""
    assert_gradients_agree(small(name), (3, 32, 32), "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_gradients_on_cuda_are_those_in_float64(name, without_tf32):
    assert_gradients_agree(small(name), (3, 48, 48), "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_cpu_and_cuda_agree(name, without_tf32):
    network, batch = small(name).eval(), images(2)
    with torch.no_grad():
        expected = network(batch)
        found = network.cuda()(batch.cuda()).cpu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("name", ALL)
def test_fast_and_plain_layers_agree(name):
    torch.manual_seed(0)
    network, batch = models.create(name, "stl10+", **SMALL).double().eval(), images(1, 48).double()
    with torch.no_grad():
        fast = network(batch)
        with plain_layers(network):
            torch.testing.assert_close(fast, network(batch), rtol=1e-10, atol=1e-10)


def test_scales_of_dss_are_consumed():
    network, seen = models.create("dss", "stl10+", **SMALL).eval(), []
    for layer in network[:4]:
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        network(images(1))
    assert seen == [(16, 4, 96, 96), (32, 3, 96, 96), (60, 2, 48, 48), (128, 2, 24, 24)]


def test_published_ss_cnn_has_one_size_in_its_blocks():
    for name, sizes in (("ss-cnn", {(3,)}), ("ss-cnn-multisize", {(3, 5, 7)})):
        layers = [layer for layer in models.create(name, "stl10+").modules() if isinstance(layer, SteerableConv)]
        assert layers[0].sizes == (3, 5, 7)
        assert {layer.sizes for layer in layers[1:]} == sizes


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = models.create("cnn", "stl10+", depth=10, widen_factor=1, dropout=0.9).double()
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.9}
    batch = images(2, 24).double()
    with torch.no_grad():
        assert not torch.equal(network(batch), network(batch))
        assert torch.equal(network.eval()(batch), network(batch))


def test_an_impossible_depth():
    with pytest.raises(ValueError, match="depth 12 is not 6 n"):
        wide_resnet(None, depth=12)
