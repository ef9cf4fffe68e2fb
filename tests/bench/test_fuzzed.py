"""Whatever lies in a file that is read (protocols, checkpoints, IDX, STL-10), the answer is a result or one clear error.

Records are fuzzed in tests/leaderboard/records/test_records_fuzzed.py.
"""

import tempfile
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import TINY
from torch import nn

from bench.errors import BenchError
from bench.protocol import Protocol, load_protocol
from bench.results import put_checkpoint
from bench.training.state.checkpoint import DIGEST, Checkpoint, Progress, UnreadableCheckpoint
from datasets import DataError, idx, stl10

VALID = yaml.safe_load(TINY)
edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 8)), min_size=1, max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def changed(content, changes):
    for at, new, removed in changes:
        position = int(at * len(content))
        content = content[:position] + new + content[position + removed :]
    return content


def places(tree, here=()):
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))]


def put(tree, place, value):
    if not place:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[place[0]] = put(copy[place[0]], place[1:], value)
    return copy


def protocol_or_one_line(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        path.write_bytes(content)
        try:
            assert isinstance(load_protocol(str(path)), Protocol)
        except BenchError as error:
            assert len(str(error).splitlines()) == 1
            assert str(path) in str(error)


@given(st.sampled_from(places(VALID)), values)
def test_protocol_with_a_changed_value(place, value):
    protocol_or_one_line(yaml.safe_dump(put(VALID, place, value)).encode("utf-8", "surrogatepass"))


@given(edits)
def test_protocol_with_changed_bytes(changes):
    protocol_or_one_line(changed(TINY.encode(), changes))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "&a [*a, *a]"])
def test_protocol_that_would_run_code(tag):
    protocol_or_one_line(f"name: {tag}\nsummary: x\nrealizations: [0]\nrecipes: {{}}\n".encode())


def fresh():
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2))
    return network, torch.optim.Adam(network.parameters())


NONE = torch.empty(0)  # images: the state has all that the network has


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    checkpoint = Checkpoint(tmp_path_factory.mktemp("state"), "x")
    checkpoint.save(Progress(epoch=1, train_loss_curve=[0.5]), *fresh())
    return checkpoint.path.read_bytes()


def loaded_or_unreadable(content, with_digest):
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), "x")
        if with_digest:  # as if whoever changed it had known how
            checkpoint._write(lambda file: file.write(content))
        else:
            put_checkpoint(Path(folder), "x", content)
        try:
            assert isinstance(checkpoint.load(checkpoint.path, *fresh(), NONE), Progress)
        except UnreadableCheckpoint as error:
            assert str(checkpoint.path) in str(error)
            return False
        return True


@given(changes=edits)
def test_checkpoint_with_changed_bytes(state, changes):
    content = changed(state, changes)
    assert loaded_or_unreadable(content, with_digest=False) == (content == state)


@given(changes=edits)
def test_checkpoint_with_changed_bytes_and_a_right_digest(state, changes):
    loaded_or_unreadable(changed(state[:-DIGEST], changes), with_digest=True)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path(tempfile.gettempdir(), "equiscale-was-here"),))


def test_checkpoint_that_would_run_code(tmp_path):
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint._write(lambda file: torch.save({"progress": Evil()}, file))
    with pytest.raises(UnreadableCheckpoint):
        checkpoint.load(checkpoint.path, *fresh(), NONE)
    assert not Path(tempfile.gettempdir(), "equiscale-was-here").exists()


IDX = bytes([0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(range(12))


@given(changes=edits | st.just([]))
def test_idx_with_changed_bytes(changes):
    try:
        assert idx.parse(changed(IDX, changes), (3, 4), "x").shape == (3, 4)
    except DataError as error:
        assert len(str(error).splitlines()) == 1


@given(changes=edits | st.just([]), packed=st.booleans(), name=st.sampled_from(idx.FILES))
def test_idx_file_with_changed_bytes(changes, packed, name):
    import gzip

    content = changed(gzip.compress(IDX) if packed else IDX, changes)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name + ".gz" * packed).write_bytes(content)
        with pytest.raises(DataError) as error:  # three of the four files are missing anyhow
            idx.read_folder(Path(folder))
        assert len(str(error.value).splitlines()) == 1


@pytest.fixture
def official(stl10_of):
    return stl10_of(train=3, test=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits | st.just([]), name=st.sampled_from(sorted(stl10.MD5)))
def test_stl10_file_with_changed_bytes(official, changes, name):
    with tempfile.TemporaryDirectory() as folder:
        for each, content in official.items():
            Path(folder, each).write_bytes(changed(content, changes) if each == name else content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCH_DATA", folder)
            try:
                stl10.prepare(lambda text: None)
            except DataError as error:
                assert len(str(error).splitlines()) == 1
                assert changed(official[name], changes) != official[name]
            else:
                assert changed(official[name], changes) == official[name]
