"""The cheap draw is dropout."""

import pytest
import torch

from models.layers.cpu.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drops_p_of_the_elements_and_keeps_the_mean(dtype):
    torch.manual_seed(0)
    dropped = Dropout(0.3)(torch.ones(1000, 1000, dtype=dtype))
    share = (dropped == 0).double().mean().item()
    assert abs(share - 0.3) < 5 * (0.3 * 0.7 / 1e6) ** 0.5  # five standard deviations
    assert dropped.unique().tolist() == torch.tensor([0.0, 1 / (1 - 0.3)], dtype=dtype).tolist()


def test_elements_are_dropped_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.3)(torch.ones(1001, 999)) != 0).double()
    for first, second in ((kept[:, 1:], kept[:, :-1]), (kept[1:], kept[:-1])):  # halves of one number among them
        assert abs((first * second).mean().item() - 0.49) < 0.003


def test_the_same_seed_the_same_draw_and_a_gradient_for_what_is_kept():
    maps = torch.randn(4, 5, 6, 7).transpose(1, 2).requires_grad_()
    torch.manual_seed(1)
    first = Dropout(0.5)(maps)
    torch.manual_seed(1)
    assert torch.equal(first, Dropout(0.5)(maps))
    first.sum().backward()
    assert torch.equal(maps.grad != 0, first != 0)


def test_nothing_happens_in_evaluation_or_without_probability():
    maps = torch.randn(3, 4)
    assert torch.equal(Dropout(0.3).eval()(maps), maps)
    assert torch.equal(Dropout(0.0)(maps), maps)
    assert not Dropout(1.0)(maps).any()
