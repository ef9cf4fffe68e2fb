"""Runs that lie in other folders of records: which of them count as done, what is said, and what the board shows."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import command_line
import pytest
from record_factory import changed, make_record

import bench.scheduling.session
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.elsewhere import folders_elsewhere, note_on, read_elsewhere
from bench.scheduling.estimate import Estimates
from bench.scheduling.session import Outcome, do_runs
from bench.scheduling.stop import StopRequest
from leaderboard.reading.collection import collect
from leaderboard.records.store import write_record

FAILURE = {"kind": "RuntimeError", "message": "no", "traceback_tail": []}


@pytest.fixture
def runs():
    return plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], range(3), load_protocol("short"))


def record_of(run, **values):
    """A finished record of the run."""
    values = {"recipe": {**run.recipe.settings, "realizations": 6}} | values
    return make_record(
        run.model, run.task, run.realization, protocol=run.protocol.name, digest=run.recipe.digest,
        fingerprint=run.fingerprint, run_id=run.id, **values,
    )  # fmt: skip


def done_in(folder, runs):
    return set(read_elsewhere([folder]).done(runs))


def test_finished_runs_are_done(tmp_path, runs):
    write_record(tmp_path, record_of(runs[0]))
    write_record(tmp_path / "laptop" / "copied", record_of(runs[1]))
    write_record(tmp_path / "laptop", record_of(runs[1], finished_after=70))  # a copy that agrees
    write_record(tmp_path, record_of(runs[2], failure=FAILURE))
    assert done_in(tmp_path, runs) == {runs[0].id, runs[1].id}


NOT_COUNTED = {
    "smoke": {"smoke": True},
    "altered network": {"recipe": {"network": {"depth": 10}}},
    "other data": {"fingerprint": "0" * 64},
    "another recipe": {"digest": "0" * 12},
    "failed": {"failure": FAILURE},
}


@pytest.mark.parametrize("values", NOT_COUNTED.values(), ids=NOT_COUNTED)
def test_what_no_board_would_show_or_the_id_does_not_fit_is_not_done(tmp_path, runs, values):
    run = runs[0]
    said = {"protocol": run.protocol.name, "digest": run.recipe.digest, "fingerprint": run.fingerprint, "run_id": run.id}
    write_record(tmp_path, make_record(run.model, run.task, run.realization, **(said | values)))
    assert done_in(tmp_path, runs) == set()


def test_doubtful_files_are_not_done_and_a_line_says_how_many(tmp_path, runs, capsys):
    for folder, wrong in (("a", 20), ("b", 30)):
        write_record(tmp_path / folder, record_of(runs[0], wrong=wrong))
    newer = write_record(tmp_path, record_of(runs[1]))
    newer.write_text(newer.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    for number in range(5):
        write_record(tmp_path / f"damaged{number}", record_of(runs[2])).write_text("{")
    assert done_in(tmp_path, runs) == set()
    unreadable, contradictory = capsys.readouterr().err.splitlines()
    assert "6 files (" in unreadable and "and 3 more) cannot be read" in unreadable
    assert runs[0].id in contradictory and "contradict their copies" in contradictory


def test_records_that_share_an_id_stop_nothing(tmp_path, runs, capsys):
    write_record(tmp_path / "a", record_of(runs[0]))
    write_record(tmp_path / "b", changed(record_of(runs[0]), task="mnist-scale-56"))
    assert done_in(tmp_path, runs) == set()
    assert capsys.readouterr().err.count("no run counts as done there") == 1


def test_a_models_older_code_is_not_done(tmp_path, runs):
    older, latest = replace(runs[0], source="1" * 64), replace(runs[1], source="2" * 64)
    write_record(tmp_path, changed(record_of(older), source=older.source))
    write_record(tmp_path, changed(record_of(latest, finished_after=90), source=latest.source))
    assert done_in(tmp_path, [older, latest]) == {latest.id}


def test_folders_are_those_asked_for_else_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Path("results")
    assert folders_elsewhere(None, results, anew=False) == []
    Path("records").mkdir()
    Path("mine").mkdir()
    assert folders_elsewhere(None, results, anew=False) == [Path("records")]
    assert folders_elsewhere(None, results, anew=True) == folders_elsewhere(None, Path("records"), anew=False) == []
    assert folders_elsewhere([Path("mine")], results, anew=False) == [Path("mine")]


def test_the_note_says_where_and_of_which_code(runs):
    done = {run.id: record_of(run, software={"git_dirty": run.realization == 2}) for run in runs}
    said = note_on(done, 6, [Path("records")])
    assert said == "3 of 6 are in records (by commit: 2 at 0123456, 1 at 0123456 + changes); to train them here too: --anew"


@pytest.fixture
def checkout(tmp_path, monkeypatch, runs):
    """A folder with `records`, where two runs of three are done, as the place where one stands."""
    monkeypatch.chdir(tmp_path)
    for run in runs[:2]:
        write_record(tmp_path / "records", record_of(run))
    return tmp_path


ASKED = ("run", "--model", "cnn", "--task", "mnist-scale-28", "--protocol", "short", "--realizations", "0-2", "--device", "cpu")
ENGINES = [name for name, package in {"local": "torch", "ray": "ray", "slurm": "submitit"}.items() if find_spec(package)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("words", "left"), [([], 1), (["--anew"], 3), (["--records", "other"], 2), (["--time-budget", "9m"], 1)]
)
def test_every_engine_is_given_the_missing_runs_alone(checkout, runs, capsys, monkeypatch, engine, words, left):
    write_record(checkout / "other", record_of(runs[2]))
    given = []
    monkeypatch.setattr("bench.scheduling.engines.options.make_engine", lambda *_: None)
    monkeypatch.setattr(bench.scheduling.session, "do_runs", lambda todo, *_: given.extend(todo) or Outcome([], False))
    code, said, errors = command_line.call(capsys, *ASKED, "--engine", engine, *words)
    assert (code, errors, len(given)) == (0, [], left)
    assert f"3 runs, {3 - left} already done, {left} to do" in said
    assert ("to train them here too: --anew" in said) == (words != ["--anew"])


def snapshot(folder):
    """Every name, every file's bytes, and when each was changed."""
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


def test_a_dry_run_says_what_is_done_and_writes_nothing(checkout, runs, capsys):
    before = snapshot(checkout)
    code, said, errors = command_line.call(capsys, *ASKED, "--dry-run")
    assert (code, errors) == (0, [])
    assert [line.split()[0] for line in said.splitlines() if line.endswith(tuple(run.id for run in runs))] == [
        "done",
        "done",
        "to",
    ]
    assert snapshot(checkout) == before
    for words in (["--anew", "--records", "records"], ["--records", "nowhere"]):
        code, _, errors = command_line.call(capsys, *ASKED, "--dry-run", *words)
        assert (code, len(errors)) == (2, 1) and "leave out --records" in errors[0]


class NothingToDo:
    """An engine of its own that finds all done."""

    has_own_data = True

    def run(self, runs, estimates, stop, display):
        yield from ()


def test_the_board_shows_them_together_and_ones_own_first(checkout, runs, capsys):
    results = checkout / "results"
    write_record(results, record_of(runs[1], wrong=100))  # a repeat that differs contradicts nothing
    write_record(results, record_of(runs[2], wrong=60))
    write_record(checkout / "records", make_record("sicnn", protocol="other"))
    write_record(checkout / "records", record_of(replace(runs[0], model="sicnn")))
    before = snapshot(checkout / "records")
    elsewhere = read_elsewhere([checkout / "records"])
    asked = runs[:1]
    ended = do_runs([], NothingToDo(), results, Estimates([], ""), StopRequest(), lambda own: elsewhere.beside(asked, own))
    board = (results / "LEADERBOARD.md").read_text()
    assert ended.from_elsewhere == 2 and "contradictory" not in board
    assert "| `cnn` |" in board and "6.00 ± 4.00" in board  # 2, 10 and 6 %
    assert "| `sicnn` |" in board and "Protocol `other`" not in board
    assert snapshot(checkout / "records") == before
    assert capsys.readouterr().err == ""


def test_a_failure_here_gives_way_to_a_result_from_elsewhere(tmp_path, runs):
    write_record(tmp_path, record_of(runs[0], failure=FAILURE))
    (run,) = collect(tmp_path).with_records([record_of(runs[0])]).runs
    assert run.status == "ok"
    assert collect(tmp_path).with_records([]).runs[0].status == "failed"
