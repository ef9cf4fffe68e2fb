"""Runs of the tiny protocol (tiny.py), done whole or in pieces."""

import pytest
import torch

from bench.errors import Stopped
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.run import execute
from bench.training.state.randomness import seed_all
from bench.training.trainer import Watch

CPU = torch.device("cpu")


def one_run(tiny, model="tiny-net", task="mnist-scale-28+", **settings):
    """`tiny`: the file of the protocol; `settings`: as of the command line."""
    return plan_runs([PlanPart(models=[model], tasks=[task])], [0], load_protocol(str(tiny)).with_settings(**settings))[0]


def metrics(record):
    return record.metrics.model_dump()


class StopAt:
    """Ask to stop from the n-th question on."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left <= 0


def resumed(run, folder, stops, device=CPU):
    """Do a run that is stopped after each of these numbers of steps; every part starts from disk alone."""
    for steps in stops:
        with pytest.raises(Stopped):
            execute(run, device, folder, Watch(should_stop=StopAt(steps)))
        seed_all(999)  # what other runs of the process may leave behind
    return execute(run, device, folder, Watch())
