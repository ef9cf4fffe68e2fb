"""Scales that are learned: filters grow in the middle of a run, which may be stopped there."""

import pytest
import torch
from tiny import TINY
from tiny_runs import CPU, metrics, one_run, resumed

from bench.training.run import execute
from bench.training.state.weights import trained_network
from bench.training.step import build_network_and_optimizer
from bench.training.trainer import Watch
from models.sesn_learned import LearnedFilters

START = 0.5405  # below 0.5422, at which filters grow from 27 pixels to 29
SMALLER = {
    "batch_size: 32": "batch_size: 8",
    "train_images: 80, validation_images: 50, test_images: 60": "train_images: 24, validation_images: 8, test_images: 8",
    "select: best-validation": f"select: last\n    network: {{parameter: {START}}}",
}


@pytest.fixture
def run(tmp_path):
    """Of nine steps. The learned number's rate rises during the first one and a half, to half the recipe's 0.01."""
    text = TINY
    for usual, small in SMALLER.items():
        assert usual in text
        text = text.replace(usual, small)
    (tmp_path / "small.yaml").write_text(text)
    return one_run(tmp_path / "small.yaml", "sesn-learned", "mnist-scale-56")


@pytest.mark.slow
def test_filters_that_grow_are_trained_on_and_resumed_to_the_bit(run, tmp_path, monkeypatch):
    seen = []

    def noted(filters, made=LearnedFilters.made, **how):
        table = made(filters, **how)
        if torch.is_grad_enabled():
            seen.append((filters.learned.parameter.item(), 2 * max(table.halves) + 1))
        return table

    monkeypatch.setattr(LearnedFilters, "made", noted)
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    assert whole.status == "ok", whole.failure
    numbers, sizes = zip(*seen[-9:], strict=True)  # those of the check before come first
    assert numbers[0] == numbers[1] == pytest.approx(START, abs=1e-7)
    assert 0 < abs(numbers[2] - numbers[1]) <= 0.005 * (1 / 1.5)  # Adam's steps are at most its rate, or little more
    assert sizes[0] == 27
    assert 29 in sizes
    grown = sizes.index(29)
    pieces = resumed(run, tmp_path / "pieces", [grown, 1, 2])  # before the first step with larger filters, and after it
    assert metrics(pieces) == metrics(whole)
    states = [trained_network(tmp_path / folder, whole, CPU).state_dict() for folder in ("whole", "pieces")]
    for (name, one), other in zip(states[0].items(), states[1].values(), strict=True):
        assert torch.equal(one, other), name


def test_the_optimizer_has_the_scales_in_a_group_of_their_own(run):
    network, optimizer = build_network_and_optimizer(run, CPU)
    usual, own = optimizer.param_groups
    assert [tuple(parameter.shape) for parameter in own["params"]] == [(1,)]
    assert own["params"][0] is next(network.parameters())
    assert (usual["lr"], own["lr"]) == (0.01, 0.005)
    assert len(usual["params"]) == len(list(network.parameters())) - 1
