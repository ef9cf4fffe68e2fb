"""Networks that cannot be a CUDA graph are trained kernel by kernel, and a line says so; the next run is none the worse."""

from small import PROTOCOL, records_in

PLUGIN = """
import random

import models
import numpy
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.layer, self.drop, self.change, self.calls = nn.Linear(784, 10), nn.Dropout(0.5), change, 0

    def forward(self, images):
        self.calls += 1
        return self.change(self, self.drop(self.layer(images.flatten(1))))


def asks_for_a_number(net, logits):
    return logits * (1.0 if logits.sum().item() < 1 else 2.0)


def asks_for_indices(net, logits):
    return logits + logits.nonzero().sum()


def draws_with_numpy(net, logits):
    return logits + numpy.random.standard_normal()


def draws_with_python(net, logits):
    return logits + random.gauss(0, 1)


def draws_on_the_host(net, logits):
    return logits + torch.randn(()).item()


def brings_a_tensor(net, logits):
    return logits + torch.full((10,), float(net.calls)).to(logits.device)


def goes_to_the_first_card(net, logits):
    return logits + logits.to("cuda:0").exp().to(logits.device)


def is_fine(net, logits):
    return logits


def is_fine_with_a_stream(net, logits):
    side, here = torch.cuda.Stream(logits.device), torch.cuda.current_stream(logits.device)
    side.wait_stream(here)
    with torch.cuda.stream(side):
        logits = logits + 1
    here.wait_stream(side)
    return logits


for number, change in enumerate([
    asks_for_a_number, asks_for_indices, draws_with_numpy, draws_with_python, draws_on_the_host, brings_a_tensor,
    goes_to_the_first_card, is_fine, is_fine_with_a_stream,
]):
    name = f"net{number}-{change.__name__.replace('_', '-')}"
    models.register(name, tasks="mnist-scale-28")(lambda task, change=change: Net(change))
"""


def test_what_cannot_be_captured_runs_kernel_by_kernel(bench, tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    (tmp_path / "nets.py").write_text(PLUGIN)
    line = "run --model net* --task mnist-scale-28 --protocol small.yaml --plugin nets.py --device cuda:1 --jobs 1"
    done = bench(line, devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    records = records_in(tmp_path)
    assert len(records) == 9
    assert {record["status"] for record in records} == {"ok"}
    graphed = {record["model"]: record["execution"]["cuda_graph"] for record in records}
    assert graphed == {name: "is-fine" in name for name in graphed}
    said = [line for line in (done.stdout + done.stderr).splitlines() if "graph" in line.lower()]
    assert len(said) == 7, said


NOTHING = """
import torch
from bench.machine.device import on
from bench.training.graphs import NotCaptured, capture

device = torch.device("cuda:1")
x = torch.ones(4, device=device)
with on(device):
    capture(lambda: x.add_(1), device)
    try:
        capture(lambda: None, device)
    except NotCaptured as error:
        print(error)
"""


def test_a_capture_of_nothing_is_an_error(run):
    done = run("-c", NOTHING, devices=2)
    assert done.returncode == 0, done.stderr
    assert "empty" in done.stdout
