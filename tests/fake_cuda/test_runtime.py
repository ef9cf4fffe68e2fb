"""The pretended runtime itself: what it counts and where, and that it refuses what CUDA refuses."""

import json

COUNTS = """
import json
import torch
from inside import count, reset

def counts(device):
    names = ("kernels", "copies_to_device", "copies_to_host", "synchronisations", "events", "contexts")
    return {name: count(name, device) for name in names}

one = torch.device("cuda:1")
torch.cuda.set_device(one)
x = torch.ones(4, 4, device=one)
reset()
y = (x @ x).relu_()  # two kernels
y.sum().item()  # one more, a copy to the host, for which it waits
torch.cuda.Event().record()
x.copy_(torch.ones(4, 4))
print(json.dumps([counts(0), counts(1)]))

graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(one)
reset()
with torch.cuda.graph(graph, stream=stream):
    z = x + x
    with torch.cuda.stream(torch.cuda.Stream(one)):
        x.neg_()  # nothing leads there from the captured stream
captured = {name: count(name) for name in ("captures", "captured_nodes", "stray_launches")}
reset()
graph.replay()
graph.replay()
print(json.dumps([captured, {name: count(name) for name in ("kernels", "graph_launches", "replayed_nodes")}]))
"""


def test_it_counts_on_the_right_device(run):
    done = run("-c", COUNTS, devices=2)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first[0] == dict.fromkeys(first[0], 0)
    assert first[1] == {
        "kernels": 3,
        "copies_to_device": 1,
        "copies_to_host": 1,
        "synchronisations": 2,
        "events": 1,
        "contexts": 1,
    }
    assert second == [
        {"captures": 1, "captured_nodes": 1, "stray_launches": 1},
        {"kernels": 0, "graph_launches": 2, "replayed_nodes": 2},
    ]
    assert done.stderr == ""


REFUSED = """
import sys, warnings
import torch
from torch import ones

x, side, pinned = ones(4, device="cuda"), torch.cuda.Stream(), ones(4).pin_memory()
event, before = torch.cuda.Event(), torch.cuda.Event()
before.record()

def unjoined():
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        x + x

def other_device():
    with torch.cuda.device(1):
        torch.cuda.Event().record(torch.cuda.current_stream(0))

ways = {
    "addition": lambda: x + x,
    "pinned": lambda: x.copy_(pinned, non_blocking=True),
    "item": lambda: x.sum().item(),
    "nonzero": lambda: x.nonzero(),
    "host tensor": lambda: x + ones(4).to("cuda"),
    "device": lambda: torch.cuda.synchronize(),
    "query": lambda: torch.cuda.current_stream().query(),
    "event": lambda: (event.record(), event.synchronize()),
    "event before": lambda: torch.cuda.current_stream().wait_event(before),
    "unjoined": unjoined,
}
for name, way in ways.items():
    for attempt in (way, ways["addition"]):  # a refused capture does not outlive itself
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                attempt()
        except RuntimeError:
            print(name, "refused" if attempt is way else "REFUSED AFTERWARDS")
        else:
            graph.replay()
            print(name, "captured")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        pass
print("nothing", "empty" in str(said[0].message))
"""


def test_a_capture_refuses_what_cuda_refuses(run):
    done = run("-c", REFUSED, devices=2)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    fine = ("addition", "pinned")
    ways = ("item", "nonzero", "host tensor", "device", "query", "event", "event before", "unjoined")
    expected = [line for name in fine for line in [f"{name} captured"] * 2]
    expected += [line for name in ways for line in (f"{name} refused", f"{name} captured")]
    assert said == [*expected, "nothing True"]


DEVICES = """
import torch
first, second = (torch.cuda.Stream(device) for device in (0, 1))
event = torch.cuda.Event(enable_timing=True)
event.record(first)
try:
    event.record(second)
except (RuntimeError, ValueError) as error:
    print("event refused")
x = torch.ones(4, device="cuda:1")
try:
    torch.cuda.memory_allocated(2), torch.ones(1, device="cuda:2")
except RuntimeError as error:
    print("no third")
"""


def test_devices_are_kept_apart(run):
    done = run("-c", DEVICES, devices=2)
    assert done.stdout.splitlines() == ["event refused", "no third"], done.stderr


MEMORY = """
import torch
print(torch.cuda.mem_get_info())
kept = torch.empty(600_000, dtype=torch.uint8, device="cuda")
print(torch.cuda.mem_get_info()[0] < 64_000_000, torch.cuda.get_device_properties(0).total_memory)
try:
    torch.empty(63_000_000, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError as error:
    print("out of memory")
for size, card in ((30_000_000, "cuda"), (60_000_000, "cuda:1")):
    print(torch.empty(size, dtype=torch.uint8, device=card).numel())
"""


def test_memory_ends_where_it_is_told_to(run):
    done = run("-c", MEMORY, devices=2, memory=64_000_000)
    said = done.stdout.splitlines()
    assert said == ["(64000000, 64000000)", "True 64000000", "out of memory", "30000000", "60000000"], done.stderr


def test_counts_of_a_process_that_was_killed_remain(run):
    code = "import os, signal, torch; torch.ones(4, device='cuda'); os.kill(os.getpid(), signal.SIGKILL)"
    done = run("-c", code)
    (counts,) = done.counts.values()
    assert (done.returncode, counts["kernels"][0]) == (-9, 1)


def test_cudnn_has_the_version_asked_for(run):
    done = run("-c", "import torch; print(torch.backends.cudnn.version())", FAKE_CUDNN="98007")
    assert done.stdout == "98007\n", done.stderr
