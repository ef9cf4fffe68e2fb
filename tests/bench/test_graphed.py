"""A training step as one CUDA graph: the same run, to the bit where the capture is imitated, up to rounding on a GPU."""

import pytest
import torch

from bench import graphed
from bench.execute import execute
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.train import Watch


def one_run(tiny, model, cuda_graph):
    protocol = load_protocol(str(tiny)).with_settings(cuda_graph=cuda_graph)
    (run,) = plan_runs([PlanPart(models=[model], tasks=["mnist-scale-28+"])], [0], protocol)
    return run


def imitated(step):
    """What a capture does, seen from outside: warm-up steps, then replays that write into the same tensors."""
    for _ in range(graphed.WARM_UP + 1):
        step()
    owner = step.__self__
    own, loss = [parameter.grad for parameter in owner.network.parameters()], owner._loss

    def replay():
        step()
        for parameter, gradient in zip(owner.network.parameters(), own, strict=True):
            gradient.copy_(parameter.grad)
        loss.copy_(owner._loss)
        owner._loss = loss

    return replay


# dropout; running statistics; layers with their own backward
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-scalar"])
def test_it_is_the_same_run(tiny, plugin, tmp_path, monkeypatch, model):
    monkeypatch.setattr(graphed, "capture", imitated)
    plain = one_run(tiny, model, None)
    captured = one_run(tiny, model, True)
    assert captured.id != plain.id
    assert captured.recipe.settings["cuda_graph"] is True
    assert "cuda_graph" not in plain.recipe.settings
    records = [execute(run, torch.device("cpu"), tmp_path, Watch()) for run in (plain, captured)]
    assert records[1].metrics is not None, records[1].failure
    assert records[0].metrics == records[1].metrics


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["tiny-net", "cnn", "sesn-scalar", "sesn-vector", "dss-vector", "sicnn"])
def test_on_cuda_it_is_the_same_run_up_to_rounding(tiny, plugin, tmp_path, model):
    records = [execute(one_run(tiny, model, on), torch.device("cuda"), tmp_path, Watch()) for on in (None, True)]
    assert records[1].metrics is not None, records[1].failure
    curves = [record.metrics.train_loss_curve for record in records]
    assert curves[1] == pytest.approx(curves[0], rel=1e-2)
