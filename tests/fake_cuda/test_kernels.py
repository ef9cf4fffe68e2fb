"""How many kernels and copies a training step launches, per model: so that nobody adds two hundred unnoticed.

The bounds are what was counted (`python benchmarks/kernels.py`; STL-10 with --narrow) with 3 % of room. To fewer: lower them.
"""

import json

import pytest

import models

BATCH = 128  # the published one; how to convolve depends on it
MOST = {
    "mnist-scale-28": {
        "cnn": 91,
        "dss-scalar": 125,
        "dss-vector": 97,
        "invar-layer": 305,
        "invar-pdes": 1773,
        "sesn-scalar": 126,
        "sesn-vector": 112,
        "sevf-scalar": 245,
        "sevf-vector": 371,
        "si-convnet": 267,
        "sicnn": 267,
        "ss-cnn": 137,
    },
    "stl10+": {
        "cnn": 92,
        "disco": 363,
        "dss": 250,
        "sesn-a": 434,
        "sesn-b": 444,
        "sesn-c": 444,
        "si-convnet": 424,
        "sicnn": 745,
        "ss-cnn": 189,
        "ss-cnn-multisize": 382,
    },
    "mnist-scale-56": {  # what is for 56 pixels alone
        "disco": 142,
        "sesn-basis": 119,
        "sesn-learned": 607,
    },
}
OURS = {task: models.list_models(task) for task in MOST}  # before other tests register theirs
BESIDE_THE_GRAPH = 2  # launches per replay: the random generator's seed and offset

COUNT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from kernels import NARROW, counted

task, batch, *names = sys.argv[2:]
for name in names:
    one = counted(name, task, int(batch), repeats=1, network=NARROW if task == "stl10+" else None)
    print(json.dumps([name, vars(one)]))
"""


@pytest.mark.parametrize("task", MOST)
def test_a_step_launches_no_more_than_it_did(run, pytestconfig, task):
    ours = set(OURS[task]) - (set(OURS["mnist-scale-28"]) if task == "mnist-scale-56" else set())
    assert set(MOST[task]) == ours
    done = run("-c", COUNT, pytestconfig.rootpath / "benchmarks", task, BATCH, *MOST[task])
    assert done.returncode == 0, done.stderr
    found = dict(map(json.loads, done.stdout.splitlines()))
    launched = {name: one["kernels"] + one["copies"] for name, one in found.items()}
    assert {name: number for name, number in launched.items() if number > MOST[task][name]} == {}
    assert {name: number for name, number in launched.items() if number < 0.8 * MOST[task][name]} == {}, "lower the bounds"
    assert {name: one["nodes"] for name, one in found.items()} == launched  # all of a step is in the graph
    assert max(one["per_replay"] for one in found.values()) <= BESIDE_THE_GRAPH
