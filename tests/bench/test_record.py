"""What can be run can be recorded: a record's frame is made, written and read again before anything is trained."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from command_line import call
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.plan import PlanPart, Run, plan_runs
from bench.protocol import Protocol, load_protocol
from bench.record import _limits, check_frames, failed_record, frame
from leaderboard.errors import RecordError, one_line
from leaderboard.records.store import read_record, write_record

PAPER = load_protocol("paper")
RUN = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [0], PAPER, ("--protocol", "paper"))[0]
INFINITE = RUN.recipe.optimizer.model_copy(update={"lr": float("inf")})
SIGNS = st.text(st.one_of(st.sampled_from("abcXYZ019._-+@=,"), st.characters()), min_size=1, max_size=220)


def refusal(*arguments):
    with pytest.raises(BenchError) as caught:
        check_frames(*arguments)
    assert str(caught.value) == one_line(caught.value, 1000)
    return str(caught.value)


def renamed(**changes):
    """The run under a protocol with other fields, none of them looked at."""
    return replace(RUN, protocol=PAPER.model_copy(update=changes))


def test_the_frame_is_what_the_record_will_say():
    record = failed_record(RUN, torch.device("cpu"), "kind", "message", [])
    said = frame(RUN)
    assert {name: getattr(record, name) for name in said} == said
    assert set(said) == {"run_id", "model", "task", "realization", "source", "protocol", "data", "seeds", "command"}


def test_every_run_of_the_suite_can_be_recorded_and_that_is_known_within_a_second(tmp_path):
    runs = plan_runs([PlanPart(models=["*"], tasks=["*"])], range(6), PAPER)
    assert len(runs) >= 240
    started = time.process_time()
    check_frames(runs, tmp_path / "results")
    assert time.process_time() - started < 1
    assert not list(tmp_path.iterdir())


def test_it_takes_no_torch():
    code = "import sys, bench.record, bench.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (replace(RUN, model="net..v2"), "`run_id` 'net..v2_mnist-scale-28_r0_paper"),
        (replace(RUN, model="net v2"), "only letters, digits"),
        (replace(RUN, model="n" * 180), "at most 200 characters"),
        (replace(RUN, realization=10**7), "`realization` '10000000'"),
        (renamed(name="p" * 190), "at most 200 characters"),
        (renamed(name="a/b"), "`name` 'a/b'"),
        (replace(RUN, recipe=RUN.recipe.model_copy(update={"network": {"k": float("nan")}})), "not plain JSON"),
        (replace(RUN, recipe=RUN.recipe.model_copy(update={"optimizer": INFINITE})), "not plain JSON"),
        (replace(RUN, recipe=RUN.recipe.model_copy(update={"batch_split": 2**64})), "`batch_split`"),
        (replace(RUN, recipe=RUN.recipe.model_copy(update={"evaluation_batch": 0.5})), "`evaluation_batch`"),
        (renamed(realizations=[float("inf")]), "not plain JSON"),
    ],
)
def test_what_cannot_be_recorded_is_named_before_training(tmp_path, run, said):
    assert said in refusal([RUN, run], tmp_path)


@given(model=SIGNS, protocol=SIGNS, words=st.lists(st.text(st.characters(codec=None), max_size=40), max_size=3))
def test_what_passes_can_be_written_and_read(tmp_path_factory, model, protocol, words):
    folder = tmp_path_factory.mktemp("results")
    run = replace(RUN, model=model, protocol=PAPER.model_copy(update={"name": protocol}), arguments=tuple(words))
    try:
        check_frames([run], folder)
    except BenchError as error:
        assert "".join(str(error).split(" ")) == one_line(error, 1000).replace(" ", "")
        return
    record = failed_record(run, torch.device("cpu"), "kind", "message", [])
    assert read_record(write_record(folder, record)) == record


def test_a_path_that_the_file_system_cannot_hold_is_known_before_training(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["d" * 200] * 20)
    message = refusal([RUN], deep)
    assert "its path is" in message
    assert "shorter --results DIR" in message
    with pytest.raises((RecordError, OSError)):
        write_record(deep, failed_record(RUN, torch.device("cpu"), "kind", "message", []))
    monkeypatch.setattr("bench.record._limits", lambda results: (50, 4096))  # an encrypted folder's names are shorter, say
    assert "its file's name is" in refusal([RUN], tmp_path)


@pytest.mark.parametrize("where", ["", "a/b/c", "x" * 5000, "\udcff"])
def test_the_limits_are_those_of_the_folder_there_is(tmp_path, where):
    assert _limits(tmp_path / where) == (os.pathconf(tmp_path, "PC_NAME_MAX"), os.pathconf(tmp_path, "PC_PATH_MAX"))


def test_the_command_line_says_so_in_one_line_and_leaves_nothing(tmp_path, capsys):
    path = tmp_path / "long.yaml"
    path.write_text(f"extends: quick\nname: {'p' * 190}\n")
    words = ("run", "--model", "cnn", "--protocol", path, "--results", tmp_path / "r", "--device", "cpu")
    code, _, (error,) = call(capsys, *words)
    assert code == 2 and "at most 200 characters" in error
    assert not (tmp_path / "r").exists()


@given(st.builds(Run.to_json, st.just(RUN)))
def test_the_protocol_that_goes_to_the_worker_comes_back_the_same(plain):
    assert Protocol.model_validate(json.loads(json.dumps(plain))["protocol"]) == PAPER
