"""`--jobs auto`: the trial, what is kept of it, and what `--jobs` may be."""

import json
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from bench.cli.main import main
from bench.errors import BenchError
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.engines import jobs_trial, local
from bench.scheduling.engines.jobs_trial import Rates, jobs_for
from bench.scheduling.engines.local import Local
from bench.scheduling.engines.options import parse_jobs
from leaderboard.reading.folders import read_all

# A process of the trial: the third argument holds rounds per second of one process by how many there are; files count them.
PROCESS = """
import json, sys, time
behaviour = json.loads(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    if behaviour.get("dies") and "seconds" in asked: sys.exit(3)
    if behaviour.get("silent"): time.sleep(60)
    if behaviour.get("babbles"): print("no JSON", flush=True)
    if behaviour.get("problem"): print(json.dumps({"problem": behaviour["problem"]}), flush=True)
    if "seconds" in asked: print(json.dumps({"rounds": 40, "seconds": 2.0}), flush=True)
    else: print(json.dumps({"bytes": 100, "free": behaviour.get("free", 10**6)}), flush=True)
"""


def never():
    return False


def tried(**behaviour):
    return jobs_trial.measure_rates(
        torch.device("cpu"), "mnist-scale", behaviour.pop("stop", never), [sys.executable, "-c", PROCESS, json.dumps(behaviour)]
    )


def test_rates_are_sums_over_the_processes_that_work():
    rates = tried()
    assert rates.rounds == {1: 20, 2: 40, 4: 80, 6: 120}
    assert rates.complete and rates.best == 6 and rates.note == ""


@pytest.mark.parametrize(
    ("rounds", "best"),
    [
        ({1: 10, 2: 10.2, 4: 10.1, 6: 9}, 1),
        ({1: 10, 2: 19, 4: 30, 6: 30.9}, 4),
        ({1: 10, 2: 19, 4: 30, 6: 31}, 6),
        ({1: 10, 2: 19}, 2),
        ({}, 1),
    ],
)
def test_the_smallest_number_close_to_the_best_is_taken(rounds, best):
    assert Rates(rounds).best == best


@pytest.mark.parametrize(("free", "counts"), [(140, [1]), (160, [1, 2]), (460, [1, 2, 4]), (760, [1, 2, 4, 6])])
def test_no_more_than_the_memory_holds(free, counts):
    rates = tried(free=free)
    assert list(rates.rounds) == counts and rates.complete
    assert ("memory" in rates.note) == (counts[-1] != 6)


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ({"dies": True}, "died"),
        ({"babbles": True}, "said no JSON"),
        ({"problem": "OutOfMemoryError: CUDA"}, "OutOfMemoryError: CUDA"),
        ({"silent": True}, "said nothing"),
    ],
)
def test_a_trial_that_fails_gives_one_and_says_why(behaviour, told, monkeypatch):
    monkeypatch.setattr(jobs_trial, "SECONDS_TO_PREPARE", 10.0)
    rates = tried(**behaviour)
    assert not rates.complete and rates.best == 1 and told in rates.note


def test_a_trial_stops_when_the_command_is_to_stop():
    rates = tried(silent=True, stop=lambda: True)
    assert not rates.complete and rates.note == "stopped"


# ---------------------------------------------------------------------------------------------------------- what is kept


@pytest.fixture
def card(monkeypatch):
    """A pretended card; `card.rates`: what trials find there; `card.tried`: how many there were."""
    state = SimpleNamespace(rates=Rates({1: 10.0, 2: 20.0}, complete=True), tried=0)

    def measured(*arguments):
        state.tried += 1
        return state.rates

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="Card"))
    monkeypatch.setattr(jobs_trial, "measure_rates", measured)
    return state


def found(tmp_path, said, *, family="mnist-scale", mps=False):
    return jobs_for(torch.device("cuda:0"), tmp_path, family, mps, never, said.append)


def test_the_answer_is_kept_in_the_results_folder_and_is_no_record(card, tmp_path):
    said = []
    assert [found(tmp_path, said), found(tmp_path, said)] == [2, 2]
    assert card.tried == 1
    assert said[-1] == "--jobs auto: 2 (rounds of steps per second with 1: 10, 2: 20; found before)"
    (key,) = json.loads((tmp_path / ".jobs.json").read_text())
    assert key == f"Card | torch {torch.__version__} | mnist-scale | no MPS"
    assert read_all(tmp_path) == ([], [])
    assert [found(tmp_path, said, family="stl10+"), found(tmp_path, said, mps=True)] == [2, 2]
    assert card.tried == 3 and len(json.loads((tmp_path / ".jobs.json").read_text())) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"Card": 3}', '{"Card": {"rounds": {"x": 1}}}', '{"Card": {"rounds": {}}}'])
def test_what_cannot_be_read_is_tried_again(card, tmp_path, content):
    key = f"Card | torch {torch.__version__} | mnist-scale | no MPS"
    (tmp_path / ".jobs.json").write_text(content.replace("Card", key))
    assert found(tmp_path, []) == 2 and card.tried == 1


def test_a_trial_that_failed_is_not_kept(card, tmp_path):
    card.rates = Rates({1: 10.0, 2: 20.0}, "a process of the trial died")
    said = []
    assert found(tmp_path, said) == 2 and "died" in said[-1]
    assert not (tmp_path / ".jobs.json").exists()


# --------------------------------------------------------------------------------------------------------------- --jobs


RUNS = plan_runs([PlanPart(models=["cnn", "sesn-scalar"], tasks=["mnist-scale-28"])], [0], load_protocol("quick"))


@pytest.fixture
def gpus(monkeypatch):
    """Three pretended GPUs, a trial that finds 4 on each, and MPS; gpus.mps: how often it was asked for."""
    state = SimpleNamespace(mps=0, tried=[])

    @contextmanager
    def shared_gpu(say):
        state.mps += 1
        yield True

    def jobs(device, results, family, mps, stop, say):
        state.tried.append((str(device), family, mps))
        return 4

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(local, "shared_gpu", shared_gpu)
    monkeypatch.setattr(jobs_trial, "jobs_for", jobs)
    return state


@pytest.mark.parametrize(
    ("device", "jobs", "on_each_device", "mps", "tried"),
    [
        ("cuda:1", "auto", [4], 1, [("cuda:1", "mnist-scale", True)]),
        ("cuda", "auto", [4, 4, 4], 1, [("cuda:0", "mnist-scale", True)]),
        ("cuda", None, [1, 1, 1], 0, []),
        ("cuda", 3, [1, 1, 1], 0, []),
        ("cuda", 4, [2, 1, 1], 1, []),
        ("cuda:0", 1, [1], 0, []),
        ("cuda:0", 2, [2], 1, []),
        ("cpu", "auto", [1], 0, []),
        ("cpu", 2, [2], 0, []),
    ],
)
def test_how_many_processes_there_are_and_when_they_share(gpus, tmp_path, device, jobs, on_each_device, mps, tried):
    engine, said = Local(torch.device(device), tmp_path, jobs=jobs), []
    with engine.jobs_settled(RUNS, never, said.append):
        assert engine.size() == sum(on_each_device)
        made = [engine.job(slot, RUNS[0]) for slot in range(engine.size())]
    devices = [device] if len(on_each_device) == 1 else [f"cuda:{number}" for number in range(3)]
    assert {job.device: job.jobs for job in made} == dict(zip(devices, on_each_device, strict=True))
    assert (gpus.mps, gpus.tried) == (mps, tried)
    assert said == (
        ["--jobs auto: 1 (a run uses all of this machine's processors)"] if (device, jobs) == ("cpu", "auto") else []
    )


def test_nothing_is_tried_for_one_run(gpus, tmp_path):
    engine, said = Local(torch.device("cuda:0"), tmp_path, jobs="auto"), []
    with engine.jobs_settled(RUNS[:1], never, said.append):
        assert engine.size() == 1
    assert gpus.tried == [] and "one run" in said[0]


@pytest.mark.parametrize(("text", "jobs"), [(None, None), ("auto", "auto"), ("1", 1), ("12", 12)])
def test_jobs_are_a_number_or_auto(text, jobs):
    assert parse_jobs(text) == jobs


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "²", "1 2", "9" * 5000])
def test_other_jobs_are_one_line(text):
    with pytest.raises(BenchError, match="give a number from 1, or auto"):
        parse_jobs(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--jobs", "many"], "--jobs 'many': give a number from 1, or auto"), (["--engine", "slurm", "--jobs", "auto"], "slurm")],
)
def test_the_command_line_says_so(capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--model", "cnn", "--task", "mnist-scale-28", *words])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1
