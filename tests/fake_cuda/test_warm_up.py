"""Learning rates that rise step by step, on CUDA: filled before a replay, only while they rise, and nobody waits for them."""

import json

import pytest
from small import PROTOCOL

PROGRAM = """
import json, sys
from pathlib import Path
import models, torch
from torch import nn
from bench.training.captured_steps import Steps
from bench.training.run import execute
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.trainer import Watch
from inside import count

class Net(nn.Sequential):
    def parameter_groups(self):
        return [models.ParameterGroup((self[1].bias,), lr_factor=0.5, warm_up=0.5)]

models.register("net", tasks="mnist-scale-*")(lambda task: Net(nn.Flatten(), nn.Linear(784, 10)))
protocol = load_protocol("small.yaml").with_settings(epochs=4)
(run,) = plan_runs([PlanPart(models=["net"], tasks=["mnist-scale-28"])], [0], protocol)
seen, rates, take = [], [], Steps.step

def step(self, number):
    places = [group["lr"].data_ptr() for group in self.optimizer.param_groups]
    assert places == rates or not rates, "a graph reads the rates where they were"
    rates[:] = places
    before = [count(name) for name in ("kernels", "synchronisations", "graph_launches")]
    take(self, number)
    after = [count(name) for name in ("kernels", "synchronisations", "graph_launches")]
    seen.append([new - old for new, old in zip(after, before)] + [self.captured])

Steps.step = step
record = execute(run, torch.device("cuda"), Path("results"), Watch())
assert record.status == "ok", record.failure
print(json.dumps({"steps": seen, "groups": len(rates)}))
"""


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_rate_that_rises_is_one_kernel_more_a_step_beside_the_graph(run, tmp_path, optimizer):
    (tmp_path / "small.yaml").write_text(PROTOCOL.replace("name: adam,", f"name: {optimizer},"))
    done = run("-c", PROGRAM)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["groups"] == 2 and len(seen["steps"]) == 12
    rising, risen = seen["steps"][3:6], seen["steps"][6:]  # in the first epoch steps are captured
    assert all(step[1:] == [0, 1, True] for step in rising + risen)
    assert [step[0] for step in risen] == [0] * 6 and [step[0] for step in rising] == [1] * 3
