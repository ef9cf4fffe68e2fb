"""What a repeat has to agree with: what calls for equal bits, and how a run is computed again as it was."""

import json
from pathlib import Path

import pytest
import torch
from record_factory import make_record

import datasets
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.recipe import EXECUTION
from bench.training.run import execute
from bench.training.trainer import Watch
from bench.verify import judge, rebuild, repeat
from leaderboard.records.schema import Record
from leaderboard.records.store import read_record

ROOT = Path(__file__).resolve().parents[2]

ASKED = {
    "cuda_graph": True, "compile": False, "batch_split": 1, "channels_last": False, "evaluation_batch": 2000, "jobs": 1,
}  # fmt: skip
CPU = {"device": "cpu", "driver": None, "clocks_mhz": None, "power_cap_watts": None, "name": "CPU"}


def a_record(device="cuda", wrong=20, execution=ASKED, recipe=(), **software):
    """A record of a run on CUDA with everything told, or on the CPU."""
    made = make_record(wrong=wrong, hardware=CPU if device == "cpu" else {}, software={"cudnn": "91900"} | software)
    changes = {"execution": execution, "protocol": {**made.protocol.model_dump(), "recipe": {"epochs": 3, **dict(recipe)}}}
    return Record.model_validate(made.model_dump() | changes)


def older(device, **recipe):
    """A record from before there were execution and cudnn."""
    return a_record(device, execution=None, cudnn=None, recipe=recipe)


def said(record, again):
    return "\n".join(judge(record, again, None).lines)


def with_driver(record, driver):
    return record.model_copy(update={"hardware": record.hardware.model_copy(update={"driver": driver})})


BITWISE = "same hardware, threads and versions, yet not bitwise equal"


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_equal_surroundings_call_for_equal_bits(device):
    assert judge(a_record(device), a_record(device), None).agrees
    verdict = judge(a_record(device), a_record(device, wrong=21), None)
    assert not verdict.agrees
    assert BITWISE in "\n".join(verdict.lines)


@pytest.mark.parametrize(
    ("name", "now"),
    [("cuda_graph", False), ("compile", True), ("batch_split", 4), ("channels_last", True), ("evaluation_batch", 250)],
)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_another_way_of_computing_is_named(device, name, now):
    assert name in EXECUTION
    text = said(a_record(device), a_record(device, wrong=21, execution=ASKED | {name: now}))
    assert f"another {name} ({ASKED[name]} then, {now} now)" in text
    assert text.count(" then, ") == 1


def test_how_many_runs_went_side_by_side_changes_no_bit():
    assert BITWISE in said(a_record(), a_record(wrong=21, execution=ASKED | {"jobs": 6}))


def test_driver_and_cudnn_are_compared_on_cuda():
    text = said(a_record(), with_driver(a_record(wrong=21, cudnn="92000"), "1.3"))
    assert "another driver (1.2 then, 1.3 now); cudnn (91900 then, 92000 now)" in text


def test_what_is_unknown_on_cuda_may_differ():
    text = said(with_driver(a_record(), None), with_driver(a_record(wrong=21), None))
    assert "another driver (unknown then, unknown now)" in text
    text = said(older("cuda"), a_record(wrong=21))
    changes = ["cudnn (unknown then, 91900 now)", "cuda_graph (False then, True now)"]
    for change in (*changes, "evaluation_batch (unknown then, 2000 now)"):
        assert change in text


@pytest.mark.parametrize("cudnn", ["91900", "92000", None])
def test_on_the_cpu_neither_cudnn_nor_what_an_older_record_does_not_tell_matters(cudnn):
    plainly = ASKED | {"cuda_graph": False, "evaluation_batch": 250}
    again = a_record("cpu", wrong=21, execution=plainly, cudnn=cudnn)
    assert BITWISE in said(older("cpu"), again)
    assert BITWISE in said(a_record("cpu", execution=plainly), again)
    assert "another compile (True then, False now)" in said(older("cpu", compile=True), again)
    assert "another batch_split (2 then, 1 now)" in said(older("cpu", batch_split=2), again)


def test_an_older_committed_record_is_judged_bitwise_still():
    path = next((ROOT / "records" / "paper").rglob("cnn_mnist-scale-28_r0_*.json"))
    record = read_record(path)
    assert (record.execution, record.software.cudnn, record.hardware.device) == (None, None, "cpu")
    again = record.model_copy(update={"execution": execution_of_a_repeat(), "software": with_cudnn(record.software)})
    metrics = record.metrics.model_copy(update={"train_loss_curve": [1.0, *record.metrics.train_loss_curve[1:]]})
    assert judge(record, again, None).agrees
    assert BITWISE in said(record, again.model_copy(update={"metrics": metrics}))


def execution_of_a_repeat():
    return a_record(execution=ASKED | {"cuda_graph": False, "evaluation_batch": 250}).execution


def with_cudnn(software):
    return software.model_copy(update={"cudnn": "91900"})


@pytest.fixture
def done(tiny, plugin, tmp_path):
    (run,) = plan_runs([PlanPart(models=["tiny-net"], tasks=["mnist-scale-28+"])], [0], load_protocol(str(tiny)))
    record = execute(run, torch.device("cpu"), tmp_path, Watch())
    assert record.status == "ok", record.failure
    return record


def as_executed(record, **changes):
    return record.model_copy(update={"execution": record.execution.model_copy(update=changes)})


def test_a_run_is_rebuilt_to_be_computed_as_it_was(done):
    changes = {"cuda_graph": True, "compile": True, "batch_split": 3, "channels_last": True, "evaluation_batch": 17}
    run = rebuild(as_executed(done, **changes))
    assert {name: getattr(run.recipe, name) for name in EXECUTION} == changes
    assert run.id == rebuild(done).id == done.run_id
    assert run.recipe.digest == done.protocol.digest


def test_an_older_run_is_rebuilt_from_its_recipe(done):
    run = rebuild(done.model_copy(update={"execution": None}))
    plainly = {"cuda_graph": False, "compile": False, "batch_split": 1, "channels_last": False, "evaluation_batch": None}
    assert {name: getattr(run.recipe, name) for name in EXECUTION} == plainly
    assert run.id == done.run_id


def test_a_repeat_uses_the_records_evaluation_batch_on_its_kind_of_device_alone(done, tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr("bench.training.run.execute", lambda run, *_: used.append(run.recipe.evaluation_batch))
    monkeypatch.setattr("bench.machine.device.choose_device", torch.device)
    monkeypatch.setattr(datasets, "prepare", lambda *_, **__: None)
    record = as_executed(done, evaluation_batch=17)
    for device in ("cpu", "cuda"):
        repeat(record, device, tmp_path)
    assert used == [17, None]


def test_a_repeat_has_the_bits_of_its_record(done, tmp_path):
    again = repeat(done, "cpu", tmp_path / "scratch")
    assert json.loads(again.execution.model_dump_json()) == json.loads(done.execution.model_dump_json())
    assert "agrees bitwise" in said(done, again)
