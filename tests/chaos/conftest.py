"""A suite small enough to be killed many times, and what it leaves when nobody disturbs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, TASKS = 3, ("mnist-scale-28", "mnist-scale-28+", "mnist-scale-56")

PROTOCOL = f"""
name: chaos
summary: a few hundred images, for tests
smoke: true
realizations: [0]
recipes:
  mnist-scale-*:
    epochs: {EPOCHS}
    batch_size: 20
    optimizer: {{name: adam, lr: 0.01, betas: [0.9, 0.999], eps: 1.0e-8, weight_decay: 0.0}}
    learning_rate_steps: {{factor: 0.1, after_epochs: [2]}}
    augmentation: {{scale: [0.5, 2.0], centre: 14.5}}
    select: best-validation
    precision: float32
    data: {{train_images: 300, validation_images: 50, test_images: 200}}
"""

PLUGIN = """
import os
import random
import time

import models
from torch import nn


BATCH = 20
begun = []  # holds whether the network was put into training since its last batch; no attribute, which would be its state


class Told(nn.Module):
    "Writes a line whenever an epoch is begun or gone on with, and not when it is tried out; takes its time."

    def __init__(self, name, dropout):
        super().__init__()
        self.name, self.layers = name, nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), dropout, nn.Linear(16, 10))

    def train(self, mode=True):
        begun[:] = [mode]
        return super().train(mode)

    def forward(self, images):
        if self.training and len(images) == BATCH:
            if begun == [True]:
                with open(os.environ["CHAOS_LOG"], "a") as log:
                    log.write(self.name + chr(10))
            begun.clear()
            time.sleep(0.02)
        return self.layers(images)


@models.register("calm", tasks="mnist-scale-*")
def calm(task):
    return Told("calm " + task, nn.Identity())


@models.register("dropping", tasks="mnist-scale-*")
def dropping(task):
    return Told("dropping " + task, nn.Dropout(0.5))


@models.register("noisy", tasks="mnist-scale-*")
def noisy(task):
    return Told("noisy " + task, nn.RReLU())
"""


class Suite:
    """The command, its folder, and what is to be counted in the end."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "epochs.log"
        (folder / "chaos.yaml").write_text(PROTOCOL)
        (folder / "chaos_net.py").write_text(PLUGIN)
        self.log.write_text("")
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CHAOS_LOG": str(self.log)}

    def start(self, *options, results="results"):
        words = [sys.executable, "-m", "bench", "run", "--protocol", "chaos.yaml", "--plugin", "chaos_net.py"]
        for name in ("calm", "dropping", "noisy"):
            words += ["--model", name]
        for task in TASKS:
            words += ["--task", task]
        words += ["--device", "cpu", "--results", results, *map(str, options)]
        with (self.folder / "output.log").open("a") as output:
            return subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=output, stderr=output)

    def records(self, results="results"):
        found = [json.loads(path.read_text()) for path in (self.folder / results).rglob("*.json")]
        assert len({record["run_id"] for record in found}) == len(found)
        return {record["run_id"]: (record["status"], record["metrics"]) for record in found}

    def epochs_begun(self):
        return len(self.log.read_text().splitlines())


@pytest.fixture
def suite(tmp_path):
    return Suite(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    calm = Suite(tmp_path_factory.mktemp("undisturbed"))
    assert calm.start().wait() == 0
    records = calm.records()
    assert calm.epochs_begun() == EPOCHS * len(records) == EPOCHS * 9
    return records


@pytest.fixture
def report(undisturbed, capsys):
    """Print a line of the table in docs/robustness.md and check what must hold."""

    def check(suite, engine, kills):
        records = suite.records()
        lost = undisturbed.keys() - records.keys()
        differing = [run_id for run_id in undisturbed if records.get(run_id) != undisturbed[run_id]]
        repeated = suite.epochs_begun() - EPOCHS * len(undisturbed)
        with capsys.disabled():
            print(
                f"\n| {engine} | {kills} | {len(undisturbed)} | {len(lost)} | {len(differing)} | {repeated} "
                f"| {repeated / kills:.2f} |"
            )
        assert not lost
        assert not differing
        assert records.keys() == undisturbed.keys()
        assert {path.stem for path in (suite.folder / "results/weights").iterdir()} == records.keys()
        assert not list((suite.folder / "results/.checkpoints").iterdir())
        return repeated

    return check
