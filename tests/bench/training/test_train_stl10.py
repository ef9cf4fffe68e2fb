"""Training on STL-10: its optimizer and schedule, the last epoch tested, batches in parts, what to do when memory is short."""

import pytest
import torch
from tiny_runs import CPU, metrics, resumed

import models
from bench.machine.device import is_out_of_memory
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.recipe import EXECUTION
from bench.training.run import execute
from bench.training.step import build_network_and_optimizer
from bench.training.trainer import Watch
from models import wide_resnet as wide_resnet_module
from models.layers.microbatch import normalised_in_parts
from models.registry import catalogue
from models.wide_resnet import Block, Parts, wide_resnet

TINY = """
name: tiny-stl
summary: a few images and a narrow network, for tests
smoke: true
realizations: [0]
recipes:
  stl10+:
    epochs: 3
    batch_size: 8
    optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
    learning_rate_steps: {factor: 0.2, after_epochs: [1, 2]}
    augmentation: {pad: 3, cutout: 8}
    select: last
    precision: float32
    network: {depth: 10, widen_factor: 1}
    data: {test_size: 8000, central_pixels: 24}
"""


@pytest.fixture
def protocol(stl10_of, tmp_path, monkeypatch):
    """The tiny protocol, on 20 images to train with and 12 to test with."""
    for name, content in stl10_of(train=20, test=12).items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    (tmp_path / "tiny.yaml").write_text(TINY)
    return load_protocol(str(tmp_path / "tiny.yaml"))


def one_run(protocol, model="cnn"):
    return plan_runs([PlanPart(models=[model], tasks=["stl10+"])], [0], protocol)[0]


def test_the_last_epoch_is_tested_and_the_record_says_what_was_done(protocol, tmp_path):
    record = execute(one_run(protocol), CPU, tmp_path, Watch())
    assert record.status == "ok", record.failure
    assert record.metrics.best_epoch == 2
    assert (len(record.metrics.train_loss_curve), record.metrics.validation_error_curve) == (3, [])
    assert (record.metrics.test_count, record.metrics.error_by_scale) == (12, [])
    assert record.data.variant == "5k-8k"
    assert record.protocol.recipe["network"] == {"depth": 10, "widen_factor": 1}
    assert not set(EXECUTION) & set(record.protocol.recipe)
    assert (record.execution.batch_split, record.execution.channels_last, record.execution.compile) == (1, False, False)
    assert (record.execution.cuda_graph, record.execution.jobs) == (False, 1)


def test_resumed_run_equals_uninterrupted_to_the_bit(protocol, tmp_path):
    run = one_run(protocol)
    whole = execute(run, CPU, tmp_path / "whole", Watch())
    assert metrics(resumed(run, tmp_path / "pieces", stops=[1, 2, 3])) == metrics(whole)


def test_a_split_batch_gives_the_same_run_up_to_rounding(protocol, tmp_path, monkeypatch):
    splits = []

    def noted(norm, maps, parts, *others):
        splits.append(parts)
        return normalised_in_parts(norm, maps, parts, *others)

    monkeypatch.setattr(wide_resnet_module, "normalised_in_parts", noted)
    whole = execute(one_run(protocol), CPU, tmp_path / "whole", Watch())
    assert not splits
    split = execute(one_run(protocol.with_settings(batch_split=3)), CPU, tmp_path / "split", Watch())
    assert split.status == "ok", split.failure
    assert (split.run_id, split.protocol, split.seeds) == (whole.run_id, whole.protocol, whole.seeds)
    assert (whole.execution.batch_split, split.execution.batch_split) == (1, 3)
    assert set(splits) == {3}
    assert split.metrics.train_loss_curve == pytest.approx(whole.metrics.train_loss_curve, rel=1e-3)


@pytest.mark.parametrize("model", models.list_models("stl10+"))
def test_every_model_takes_the_settings_of_stl_100(protocol, tmp_path, model):
    quick = protocol.with_settings(epochs=1, precision="bf16", channels_last=True, network={"depth": 10, "widen_factor": 2})
    record = execute(one_run(quick, model), CPU, tmp_path, Watch())
    assert record.status == "ok", record.failure
    assert (record.protocol.recipe["precision"], record.execution.channels_last) == ("bf16", True)


@pytest.mark.slow
def test_a_compiled_run_is_the_same_up_to_rounding(protocol, tmp_path):
    whole = execute(one_run(protocol), CPU, tmp_path / "whole", Watch())
    compiled = execute(one_run(protocol.with_settings(compile=True)), CPU, tmp_path / "compiled", Watch())
    assert compiled.status == "ok", compiled.failure
    assert (compiled.run_id, compiled.execution.compile) == (whole.run_id, True)
    assert compiled.metrics.train_loss_curve == pytest.approx(whole.metrics.train_loss_curve, rel=1e-3)


def test_optimizer_and_schedule_are_the_published_ones():
    run = one_run(load_protocol("paper"))
    network, optimizer = build_network_and_optimizer(run, CPU)
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.SGD)
    assert {key: group[key] for key in ("lr", "momentum", "nesterov", "weight_decay", "dampening")} == {
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "dampening": 0,
    }
    assert len(group["params"]) == len(list(network.parameters()))  # normalisation and biases decay too
    rates = [run.recipe.learning_rate(epoch) for epoch in (0, 299, 300, 399, 400, 599, 600, 799, 800, 999)]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008, 0.0008, 0.00016, 0.00016])
    assert (run.recipe.epochs, run.recipe.batch_size, run.recipe.select) == (1000, 128, "last")


def test_stl_100_is_the_published_schedule_scaled():
    paper, scaled = (load_protocol(name).recipe("stl10+") for name in ("paper", "stl-100"))
    assert [10 * epoch for epoch in scaled.learning_rate_steps.after_epochs] == paper.learning_rate_steps.after_epochs
    assert 10 * scaled.epochs == paper.epochs
    assert (scaled.optimizer, scaled.augmentation, scaled.batch_size) == (paper.optimizer, paper.augmentation, paper.batch_size)


class Picky(Parts):
    """Its convolutions have no memory to train on more than two images at a time."""

    def convolution(self, place, channels_in, channels_out, stride):
        convolution = super().convolution(place, channels_in, channels_out, stride)

        def check(layer, inputs):
            if layer.training and len(inputs[0]) > 2:
                raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory\nmore")

        convolution.register_forward_pre_hook(check)
        return convolution


@pytest.fixture
def short_of_memory(monkeypatch):
    """Two models, for one test: `picky`, and `greedy`, which fits in no way."""
    models.list_models()  # the catalogue is complete before it is copied
    monkeypatch.setattr(catalogue, "_models", list(catalogue._models))
    models.register("picky", tasks="stl10+")(lambda task, **size: wide_resnet(Picky(), **size))

    @models.register("greedy", tasks="stl10+")
    def greedy(task, **size):
        network = wide_resnet(Parts(), **size)
        for block in network.modules():
            if isinstance(block, Block):
                block.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(MemoryError("no")))
        return network


def test_a_run_that_does_not_fit_says_which_setting_would(protocol, short_of_memory, tmp_path):
    record = execute(one_run(protocol, "picky"), CPU, tmp_path, Watch())
    assert (record.status, record.failure.kind) == ("failed", "out of memory")
    assert "a batch of 8 does not fit into memory; it fits with --batch-split 4" in record.failure.message
    again = execute(one_run(protocol.with_settings(batch_split=4), "picky"), CPU, tmp_path, Watch())
    assert again.status == "ok", again.failure


def test_a_run_that_fits_in_no_way_says_so(protocol, short_of_memory, tmp_path):
    record = execute(one_run(protocol, "greedy"), CPU, tmp_path, Watch())
    assert "a batch of 8 does not fit into memory, nor in smaller parts" in record.failure.message


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator: can't allocate memory"))
