"""Each check finds the fault that it is for, says so, and finds nothing in a sound network."""

from dataclasses import asdict

import pytest
import torch
from faulty import FAULTY

import datasets
import models
from bench.checking import process
from bench.checking.cost import step_time
from bench.checking.names import CHECKS
from bench.checking.subject import Subject, generated

TASK = "mnist-scale-28"


@pytest.fixture(autouse=True)
def _faulty(own_registry, tmp_path, monkeypatch):
    """Data are not here, whether or not they are."""
    monkeypatch.setattr(datasets, "at_hand", lambda *_: False)
    monkeypatch.chdir(tmp_path)
    process._subject.cache_clear()
    (tmp_path / "faulty_nets.py").write_text(FAULTY)
    models.load_plugin("faulty_nets.py")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def found(check, model):
    return process.check(check, model, TASK)


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in ("hours", "parameters")])
def test_a_sound_network_passes(check):
    finding = found(check, "sound-net")
    assert finding["verdict"] == "pass", finding


@pytest.mark.parametrize(
    ("model", "check", "verdict", "said"),
    [
        ("none-net", "builds", "fail", "returned None and no torch.nn.Module"),
        ("raises-net", "builds", "fail", "KeyError: 'no such luck'"),
        ("width-net", "outputs", "fail", "the network gives a tensor of shape (8, 12), float32, on cpu for 8 images"),
        ("nan-net", "outputs", "fail", "no finite numbers"),
        ("channels-net", "outputs", "fail", "to have 3 channels, but got 1 channels"),
        ("in-place-net", "outputs", "look", "it changes the images that it is given"),
        ("attribute-net", "steps", "look", "keeps what changes its answers outside of its state dict"),
        ("sound-net", "parameters", "look", "7,850 trained parameters, 0.02 times cnn's"),
        ("frozen-net", "parameters", "look", "7,850 that are not trained are not counted"),
        ("frozen-net", "gradients", "fail", "nothing is trained"),
        ("unused-net", "gradients", "look", "7 numbers in 1 parameters get no gradient, and are counted: unused"),
        ("root-net", "gradients", "fail", "after two steps gradients are not finite: scale"),
        ("float32-net", "float64", "look", "it does not work in float64: RuntimeError"),
        ("constant-net", "host", "fail", "on another device than the CPU a step fails"),
        ("batch-net", "neighbours", "fail", "depend on its neighbours"),
        ("unseeded-net", "repeats", "fail", "built twice under one seed, it has other weights"),
        ("global-net", "repeats", "fail", "a step done twice under one seed gives other gradients"),
        ("urandom-net", "repeats", "fail", "a step done twice under one seed gives other gradients"),
        ("threads-net", "process", "fail", "it changes torch's number of threads"),
        ("dropout-net", "process", "look", "it draws random numbers in evaluation"),
        ("host-net", "host", "look", "a step asks the device for a value"),
        ("numbers-net", "host", "look", "a step brings tensors along from the host: tensor"),
        ("numpy-net", "host", "look", "the network draws random numbers on the host"),
    ],
)
def test_a_fault_is_found(model, check, verdict, said):
    finding = found(check, model)
    assert (finding["verdict"], said in finding["text"]) == (verdict, True), finding
    assert finding["todo"]


def test_a_finding_names_the_models_own_lines():
    assert found("builds", "raises-net")["more"] == [
        "faulty_nets.py:85, in raises_net: return helper(task)",
        'faulty_nets.py:89, in helper: raise KeyError("no such luck")',
    ]
    (line,) = found("outputs", "channels-net")["more"]
    assert line.endswith("in forward: images = self.convolution(images)")


def test_hours_follow_from_the_step_that_was_timed():
    assert "nothing is known" in found("hours", "sound-net")["text"]
    subject = Subject("sound-net", TASK)
    assert step_time(subject).verdict == "pass" and 0 < subject.measured["ratio"] < 5
    process._subject(("sound-net"), TASK).measured.update(ratio=2.0, step=0.001)
    finding = found("hours", "sound-net")
    assert finding["verdict"] == "pass" and finding["numbers"]["paper"] > 0
    assert any("times what records tell of cnn" in line or "its steps alone" in line for line in finding["more"])


def test_a_slow_network_is_to_be_looked_at(monkeypatch):
    monkeypatch.setattr("bench.checking.cost.SLOW", 1e-9)
    finding = step_time(Subject("sound-net", TASK))
    assert finding.verdict == "look" and "bench profile sound-net" in finding.todo
    assert "no timing to quote" in finding.text and asdict(finding)["numbers"]["pairs"] == 5


def test_networks_of_two_tasks_may_be_one():
    assert process.same("sound-net", "mnist-scale-28+", TASK)
    assert process.same("cnn", "mnist-scale-28+", TASK)
    assert not process.same("sesn-vector", "mnist-scale-28+", TASK)


@pytest.mark.parametrize("task", [TASK, "stl10+"])
def test_generated_images_are_pictures(task):
    images = generated(task, 3)
    assert images.shape == (3, *datasets.image_shape(task)) and images.dtype == torch.uint8
    assert images.amax() > 200 and images[..., 0, :].amax() < 60 and (images > 60).float().mean() < 0.5
    assert torch.equal(images, generated(task, 3)) and not torch.equal(images[0], images[1])


@pytest.mark.parametrize(("size", "verdict"), [(1e-7, "pass"), (1e-2, "look"), (1.0, "fail")])
def test_how_far_float64_may_be_from_float32(monkeypatch, size, verdict):
    class Coarse(torch.nn.Sequential):
        def forward(self, images):
            logits = super().forward(images)
            return logits if images.dtype == torch.float64 else logits * (1 + size)

    monkeypatch.setattr(Subject, "build", lambda *_: Coarse(torch.nn.Flatten(), torch.nn.Linear(784, 10)))
    torch.manual_seed(0)
    weights = torch.nn.Linear(784, 10).state_dict()
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda layer: layer.load_state_dict(weights) and None)
    finding = found("float64", "sound-net")
    assert finding["verdict"] == verdict, finding
