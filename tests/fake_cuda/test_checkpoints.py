"""States of runs on CUDA: a copy on the device is written in the background, and is the state of its own moment."""

import json

import pytest
from small import PROTOCOL

# A run of so many epochs in this process, whose states are written as the test wants it.
PROGRAM = """
import io, json, threading, time
from pathlib import Path
import torch
from bench.training.state import checkpoint as module
from bench.training.state.checkpoint import Checkpoint
from bench.errors import Stopped
from bench.training.run import execute
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.trainer import Watch

protocol = load_protocol("small.yaml").with_settings(epochs=4)
(run,) = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28+"])], [0], protocol)
cuda, cpu, steps = torch.device("cuda:1"), torch.device("cpu"), []


def start(device=cuda, folder="results", stop_after=None, on_step=lambda *at: None):
    steps.clear()
    def told(epoch, step):
        steps.append((epoch, step))
        on_step(epoch, step)
    return execute(run, device, Path(folder), Watch(told, lambda: len(steps) == stop_after, print))


def saved(folder="results"):
    return module._state(Checkpoint(Path(folder), run.id).path.read_bytes())
"""


def start(run, tmp_path, program):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    done = run("-c", PROGRAM + program, devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def test_training_goes_on_while_a_state_is_written(run, tmp_path):
    """The first state is held up until the run is two epochs further; it says what it said at its own moment."""
    (seen,) = start(run, tmp_path, """
module.SECONDS_BETWEEN_ON_CUDA, written, write = 0, [], Checkpoint._write
further = threading.Event()

def slow(self, write_state):
    if not written:
        assert further.wait(60), "the run waits for its state to be written"
    write(self, write_state)
    written.append(saved())

def due(self, device, asked=[]):
    asked.append(device)
    return len(asked) in (1, 4)

Checkpoint._write, Checkpoint.due_after_epoch = slow, due
record = start(on_step=lambda epoch, step: further.set() if epoch == 2 else None)
progress = [state["progress"] for state in written]
print(json.dumps({
    "status": record.status,
    "epochs": [p["epoch"] for p in progress],
    "curves": [len(p["train_loss_curve"]) for p in progress],
    "devices": sorted({str(v.device) for s in written for v in s["network"].values()}),
    "left": len(list(Path("results/.checkpoints").glob("*.tmp"))),
}))
""")  # fmt: skip
    assert seen == {"status": "ok", "epochs": [1, 4], "curves": [1, 4], "devices": ["cpu"], "left": 0}


@pytest.mark.parametrize(("seconds", "epochs"), [(10_000, [3]), (0, [1, 2, 3, 3])])
def test_states_are_seconds_apart_and_a_stop_is_on_disk_at_once(run, tmp_path, seconds, epochs):
    at_stop, again = start(run, tmp_path, f"module.SECONDS_BETWEEN_ON_CUDA = {seconds}" """
saves = []
save = Checkpoint.save
Checkpoint.save = lambda self, *rest: (saves.append(rest[0].epoch), save(self, *rest))
try:
    start(stop_after=10)
except Stopped:
    progress = saved()["progress"]
print(json.dumps([saves, progress["epoch"], progress["step"]]))
record = start()
print(json.dumps([record.status, steps[0], len(record.timings.train_seconds_per_epoch)]))
""")  # fmt: skip
    assert at_stop == [epochs, 3, 1]
    assert again == ["ok", [3, 1], 4]


def test_a_disk_that_is_full_fails_the_run(run, tmp_path):
    (seen,) = start(run, tmp_path, """
module.SECONDS_BETWEEN_ON_CUDA, save = 0, torch.save
def full(state, file):
    if isinstance(file, io.BytesIO):  # in memory
        return save(state, file)
    raise OSError(28, "No space left on device")
torch.save = full
record = start()
print(json.dumps([record.status, record.failure.kind, record.failure.message]))
""")  # fmt: skip
    assert seen[:2] == ["failed", "not saved"] and "No space left" in seen[2]


def test_a_run_changes_devices(run, tmp_path):
    """Begun on the CPU, on with it on a card, finished on the CPU: how the optimizer computes is each device's own."""
    kinds = start(run, tmp_path, """
seen = []
from bench.training.captured_steps import Steps
made = Steps.begin_epoch
def begin(self, *rest):
    made(self, *rest)
    (group,) = self.optimizer.param_groups
    moments = {str(value.device) for state in self.optimizer.state.values() for value in state.values()}
    lr = group["lr"].device if isinstance(group["lr"], torch.Tensor) else "a number"
    seen.append([str(lr), group["fused"], group["capturable"], sorted(moments)])
Steps.begin_epoch = begin
for device, stop in ((cpu, 4), (cuda, 4), (cpu, None)):
    try:
        record = start(device, stop_after=stop)
    except Stopped:
        pass
    print(json.dumps(seen[-1]))
print(json.dumps({"status": record.status, "epochs": len(record.metrics.train_loss_curve)}))
""")  # fmt: skip
    on_cpu, on_cuda = ["a number", None, False, ["cpu"]], ["cuda:1", True, True, ["cuda:1"]]
    assert kinds == [on_cpu, on_cuda, on_cpu, {"status": "ok", "epochs": 4}]
