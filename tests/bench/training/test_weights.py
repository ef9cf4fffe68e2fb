"""The weights of a finished run as a file: which format, what is in it, and whose they are."""

import hashlib
import json
import sys
from collections import OrderedDict

import pytest
import torch
from record_factory import make_record
from safetensors import safe_open
from tiny_runs import CPU, one_run
from torch import nn

import models
from bench.errors import BenchError
from bench.results import put_weights, weights_path
from bench.training.run import execute
from bench.training.state.network_state import same_bits, state_of
from bench.training.state.weights import ABOUT, LARGEST, _read, keep_weights, trained_network
from bench.training.trainer import Watch

RECORD = make_record(run_id="small")


def kept(folder, weights):
    """How the weights are kept, read back, and what was said."""
    said = []
    digest = keep_weights(folder, RECORD, weights, "form", said.append)
    path = weights_path(folder, "small")
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    return path.suffix, _read(path.read_bytes(), path.suffix)["weights"], said


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(3.0),
        torch.arange(6.0).reshape(2, 3).t(),
        torch.zeros(2, 2, 3, 3).contiguous(memory_format=torch.channels_last),
        torch.ones(1).expand(5),
        torch.tensor([1 + 2j, 3 - 1j]).conj(),
        torch.tensor(True),
        torch.zeros(0, 3),
        torch.tensor([float("nan"), -0.0]).bfloat16(),
        nn.Parameter(torch.ones(2)),
    ],
    ids=[
        "plain",
        "transposed",
        "channels-last",
        "expanded",
        "conjugated",
        "scalar",
        "empty",
        "bfloat16",
        "parameter",
    ],
)
def test_tensors_are_kept_as_safetensors_to_the_bit(tmp_path, value):
    suffix, weights, said = kept(tmp_path, OrderedDict(w=value.detach(), again=value.detach()))
    assert (suffix, said) == (".safetensors", [])
    assert same_bits(weights["w"], value.detach()) and same_bits(weights["again"], value.detach())


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (torch.eye(3).to_sparse(), "'w' is sparse"),
        (torch.ones(2, dtype=torch.complex128), "complex128"),
        (b"what a hook adds", "'w' is no tensor"),
    ],
    ids=["sparse", "complex128", "bytes"],
)
def test_what_safetensors_cannot_hold_is_kept_as_before_and_said(tmp_path, value, why):
    suffix, weights, (line,) = kept(tmp_path, OrderedDict(w=value))
    assert suffix == ".pt" and same_bits(weights["w"], value)
    assert why in line and "\n" not in line


def test_without_safetensors_weights_are_kept_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    suffix, _, (line,) = kept(tmp_path, OrderedDict(w=torch.zeros(2)))
    assert suffix == ".pt" and "safetensors" in line


def test_versions_of_modules_are_kept(tmp_path):
    state = state_of(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    _, weights, _ = kept(tmp_path, state)
    assert weights._metadata == state._metadata and weights._metadata["1"] == {"version": 2}
    state._metadata["1"]["version"] = (2, 0)  # which JSON would make a list of
    assert kept(tmp_path, state)[0] == ".pt"
    assert not (tmp_path / "weights/small.safetensors").exists(), "the file in the other format is another state's"


def test_large_networks_are_not_kept(tmp_path):
    assert keep_weights(tmp_path, RECORD, OrderedDict(w=torch.zeros(LARGEST // 4 + 1)), "form") is None
    assert list(tmp_path.iterdir()) == []


def test_the_format_is_told_by_the_content(tmp_path):
    (tmp_path / "weights").mkdir()
    assert weights_path(tmp_path, "x_1.5_a").name == "x_1.5_a.safetensors"  # as it will be
    old = tmp_path / "weights" / "x_1.5_a.pt"
    torch.save({}, old)
    assert weights_path(tmp_path, "x_1.5_a") == old
    assert put_weights(tmp_path, "x_1.5_a", old.read_bytes()) == old
    assert put_weights(tmp_path, "x_1.5_a", b"\0" * 8) == weights_path(tmp_path, "x_1.5_a") != old
    assert not old.exists()


@pytest.fixture(scope="module")
def run_twice(tiny, plugin, tmp_path_factory):
    run, folders = one_run(tiny), [tmp_path_factory.mktemp("weights") for _ in range(2)]
    return folders, [execute(run, CPU, folder, Watch()) for folder in folders]


def test_the_record_holds_the_files_sha256_and_the_file_says_what_it_is_of(run_twice):
    folders, (record, again) = run_twice
    path = weights_path(folders[0], record.run_id)
    assert record.weights_sha256 == again.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()[ABOUT])
        assert set(file.keys()) == {"1.weight", "1.bias", "4.weight", "4.bias"}
    for name in ("run_id", "model", "task", "realization", "source"):
        assert about[name] == getattr(record, name), name
    assert (about["recipe_digest"], about["commit"]) == (record.protocol.digest, record.software.git_commit)
    assert (about["protocol"], about["data_fingerprint"]) == ("tiny", record.data.fingerprint)


def test_weights_of_another_content_than_the_records_are_refused(run_twice, tmp_path):
    folders, (record, _) = run_twice
    assert isinstance(trained_network(folders[0], record, CPU), nn.Module)
    content = bytearray(weights_path(folders[0], record.run_id).read_bytes())
    content[-1] ^= 1
    put_weights(tmp_path, record.run_id, bytes(content))
    with pytest.raises(BenchError, match="SHA-256 is not the one in the run's record"):
        trained_network(tmp_path, record, CPU)
    without = record.model_copy(update={"weights_sha256": None})
    assert isinstance(trained_network(tmp_path, without, CPU), nn.Module)
    for cut in (0, 4, 100, len(content) - 1):
        put_weights(tmp_path, record.run_id, bytes(content[:cut]))
        with pytest.raises(BenchError, match="cannot be used"):
            trained_network(tmp_path, without, CPU)


def test_nothing_in_a_file_of_safetensors_is_run(run_twice, tmp_path):
    """A pickle under the safe name is data that is not understood."""
    _, (record, _) = run_twice
    evil = tmp_path / "evil.pt"
    torch.save({"run_id": record.run_id, "form": "", "weights": {}}, evil)
    path = weights_path(tmp_path, record.run_id)
    path.parent.mkdir()
    path.write_bytes(evil.read_bytes())
    with pytest.raises(BenchError, match="cannot be used"):
        trained_network(tmp_path, record.model_copy(update={"weights_sha256": None}), CPU)


def test_a_record_before_the_field_reads_and_counts_as_without(run_twice):
    _, (record, _) = run_twice
    older = record.model_dump(exclude={"weights_sha256"})
    assert type(record).model_validate(older).weights_sha256 is None
    assert models.info("tiny-net", "mnist-scale-28").source == record.source
