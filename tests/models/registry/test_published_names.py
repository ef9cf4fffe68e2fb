"""The published numbers name tasks and models that there are, as the board's rows name them."""

import pytest

import models
from leaderboard.board.published import load_published
from models.registry import registration

NAMED = sorted({(p.model, p.task) for p in load_published() if p.model})


def test_every_task_exists():
    assert {p.task for p in load_published()} - {None} == set(registration.TASKS)


@pytest.mark.parametrize(("model", "task"), NAMED)
def test_a_model_is_called_as_its_row_is(model, task):
    assert models.canonical_name(model, task) == model


@pytest.mark.parametrize(
    ("model", "task", "count"), sorted({(p.model, p.task, p.params) for p in load_published() if p.model and p.params})
)
def test_parameters_are_those_of_the_network(model, task, count):
    assert sum(parameter.numel() for parameter in models.create(model, task).parameters()) == count
