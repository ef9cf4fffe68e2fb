"""The weights of a finished run: kept as they were tested, read back strictly, tested again on digits of one size."""

import pytest
import torch
from tiny import TINY

import datasets
from bench.errors import BenchError
from bench.measure.equivariance_record import after_training
from bench.measure.scale_sweep import sweep
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.training.evaluate import predict
from bench.training.run import execute
from bench.training.state.weights import trained_network
from bench.training.trainer import Watch
from bench.verify import find_record
from datasets.augment import scale_affine
from leaderboard.records.store import write_record

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(plugin, tmp_path_factory):
    """A results folder with one finished run of the tiny network, and its record."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY)
    (run,) = plan_runs([PlanPart(models=["tiny-net"], tasks=["mnist-scale-28"])], [1], load_protocol(str(folder / "tiny.yaml")))
    record = execute(run, CPU, folder, Watch())
    write_record(folder, record)
    return folder, record


def test_the_kept_weights_are_those_that_were_tested(finished):
    folder, record = finished
    images, labels = datasets.load("mnist-scale-28", 1, "test")
    answers = predict(trained_network(folder, find_record([folder], record.run_id), CPU), images[:60])
    wrong = [(i, int(a)) for i, (a, label) in enumerate(zip(answers, labels, strict=False)) if a != label]
    assert wrong == record.metrics.wrong_answers


def test_errors_by_factor(finished):
    folder, record = finished
    found = sweep(folder, record, "cpu", "bench scale-sweep", factors=(0.2, 1.0, 2.0))
    assert (found.own_sizes_count, found.own_sizes_wrong) == (60, len(record.metrics.wrong_answers))
    assert [(at.factor, at.count) for at in found.factors] == [(0.2, 60), (1.0, 60), (2.0, 60)]
    # Factor 1 is the original digit, but for the half pixel between its middle and the affine's fixed point: none at factor 1.
    originals, labels = datasets.load_originals("mnist-scale-28", 1, "test")
    answers = predict(trained_network(folder, record, CPU), originals[:60])
    assert found.factors[1].wrong == int((answers != labels[:60]).sum())
    fewer = sweep(folder, record, "cpu", "bench scale-sweep", 20, factors=(1.0,))
    assert (fewer.own_sizes_count, fewer.factors[0].count) == (20, 20)
    assert fewer.own_sizes_wrong == sum(index < 20 for index, _ in record.metrics.wrong_answers)


def test_originals_at_their_own_factors_are_the_data_set():
    originals, labels = datasets.load_originals("mnist-scale-28", 0, "test")
    images, same = datasets.load("mnist-scale-28", 0, "test")
    factors = datasets.load_scales("mnist-scale-28", 0, "test")
    assert torch.equal(labels, same)
    assert torch.equal(scale_affine(originals[:2000], factors[:2000]), images[:2000])


def test_photographs_have_no_originals_of_another_size():
    with pytest.raises(datasets.DataError, match="originals themselves"):
        datasets.load_originals("stl10+")


def test_equivariance_of_a_trained_network(finished):
    folder, record = finished
    measured = after_training(folder, record, 3, "bench equivariance")
    assert (measured.state, measured.run_id, measured.protocol) == ("trained", record.run_id, "tiny")
    assert (measured.image_count, measured.layers) == (3, [])
    assert "realization 1" in measured.images
    assert all(error > 0 for error in measured.network.scale)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "weights").write_text("a file where the folder should be")
    (tmp_path / "tiny.yaml").write_text(TINY)
    (run,) = plan_runs(
        [PlanPart(models=["tiny-net"], tasks=["mnist-scale-28"])], [1], load_protocol(str(tmp_path / "tiny.yaml"))
    )
    said = []
    record = execute(run, CPU, tmp_path, Watch(say=said.append))
    assert (record.status, record.weights_sha256) == ("ok", None)  # the result is worth more than the weights
    assert "could not be written" in said[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "were not kept; to make them"),
        (b"no weights at all", "cannot be used"),
        ({"run_id": "another", "weights": {}}, "they are another run's"),
        ({"weights": {}}, "cannot be used"),
        ("another network", "cannot be used: Error"),
    ],
)
def test_weights_that_cannot_be_used_say_so_in_one_line(finished, tmp_path, content, said):
    _, record = finished
    record = record.model_copy(update={"weights_sha256": None})  # as of earlier versions
    path = tmp_path / "weights" / f"{record.run_id}.pt"
    path.parent.mkdir()
    if content == "another network":
        content = {"run_id": record.run_id, "weights": torch.nn.Linear(2, 2).state_dict()}
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(BenchError, match=said) as caught:
        trained_network(tmp_path, record, CPU)
    assert "\n" not in str(caught.value) and "bench run" in str(caught.value)


def test_unknown_run(finished):
    folder, record = finished
    with pytest.raises(BenchError, match="no record of a run 'x'"):
        find_record([folder], "x")
    with pytest.raises(BenchError, match=f"did you mean '{record.run_id}'"):
        find_record([folder], record.run_id[:-1])
