"""What the host does beside launching: how often it waits in a run, and what a matrix product costs it."""

import json

from small import PROTOCOL

WAITS = """
import json, sys
from pathlib import Path
import torch
from bench.training.run import execute
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.trainer import Watch
from inside import count, reset

QUANTITIES = ("synchronisations", "copies_to_host", "graph_launches", "kernels")

def waits(task, epochs, images, graph):
    protocol = load_protocol("small.yaml").with_settings(cuda_graph=graph)
    recipe = protocol.recipes["mnist-scale-*"]
    recipe = recipe.model_copy(update={"epochs": epochs, "data": recipe.data.model_copy(update={"train_images": images})})
    protocol = protocol.model_copy(update={"recipes": {"mnist-scale-*": recipe}})
    (run,) = plan_runs([PlanPart(models=["sesn-vector"], tasks=[task])], [0], protocol)
    reset()
    record = execute(run, torch.device("cuda"), Path("results"), Watch())
    assert record.status == "ok", record.failure
    return {name: count(name) for name in QUANTITIES}

def both(task, graph):
    waits(task, 1, 8, graph)  # what a process does once
    return {"3x10": waits(task, 3, 80, graph), "3x20": waits(task, 3, 160, graph), "6x10": waits(task, 6, 80, graph)}

ways = [(task, graph) for task in ("mnist-scale-28", "mnist-scale-28+") for graph in (True, False)]
print(json.dumps({f"{task} {graph}": both(task, graph) for task, graph in ways}))
"""


def test_the_host_waits_once_an_epoch(run, tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    done = run("-c", WAITS)
    assert done.returncode == 0, done.stderr
    for way, counts in json.loads(done.stdout).items():
        short, long, more = (counts[name] for name in ("3x10", "3x20", "6x10"))
        assert long["synchronisations"] == short["synchronisations"], way
        assert long["copies_to_host"] == short["copies_to_host"], way
        assert more["copies_to_host"] - short["copies_to_host"] == 3, way
        # One copy to the host, and the marks of the clock, which are passed by then.
        assert more["synchronisations"] - short["synchronisations"] <= 3 * 3, way
        if way.endswith("True"):
            assert long["graph_launches"] - short["graph_launches"] == 30, way


PRODUCTS = """
import json, os, sys, time
import torch
from bench.machine.device import on, set_numerics

device = torch.device("cuda")
a, out = torch.ones(8, 8, device=device), torch.ones(8, 8, device=device)

def microseconds():
    best = float("inf")
    for _ in range(15):
        started = time.perf_counter()
        for _ in range(200):
            torch.mm(a, a, out=out)
        best = min(best, time.perf_counter() - started)
    return 1e6 * best / 200

plain = microseconds()
set_numerics("float32", device)
with on(device):
    ours = microseconds()
print(json.dumps([plain, ours]))
"""


def test_a_matrix_product_costs_the_host_what_it_costs_without_us(run):
    done = run("-c", PRODUCTS)
    assert done.returncode == 0, done.stderr
    plain, ours = json.loads(done.stdout)
    assert ours < 3 * plain, (plain, ours)
