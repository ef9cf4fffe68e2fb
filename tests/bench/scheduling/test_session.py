"""What is left to do when some of the data cannot be had, and what is said when all is done."""

import pytest
from record_factory import make_record

import datasets
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.results import check_writable
from bench.scheduling.estimate import Estimates
from bench.scheduling.session import _with_data, do_runs
from bench.scheduling.stop import StopRequest
from leaderboard.records.store import write_record


@pytest.fixture
def no_stl10(monkeypatch):
    asked = []

    def prepare(tasks, realizations, *, test_size):
        asked.append(list(tasks))
        if "stl10+" in tasks:
            raise datasets.DataError("STL-10 could not be had")

    monkeypatch.setattr(datasets, "prepare", prepare)
    return asked


def planned(*tasks):
    return plan_runs([PlanPart(models=["cnn"], tasks=list(tasks))], [0], load_protocol("quick"))


def test_a_task_without_data_is_left_out_in_one_line(no_stl10, capsys):
    runs = _with_data(planned("mnist-scale-28", "stl10+"))
    assert [run.task for run in runs] == ["mnist-scale-28"]
    assert capsys.readouterr().err == "bench: stl10+: 1 runs left out: STL-10 could not be had\n"
    assert no_stl10 == [["mnist-scale-28"], ["stl10+"]]


def test_no_data_at_all_is_an_error_in_one_line(no_stl10, capsys):
    with pytest.raises(datasets.DataError, match="could not be had"):
        _with_data(planned("stl10+"))
    assert capsys.readouterr().err == ""


def test_a_results_folder_may_be_a_link_to_one_that_is_yet_to_be_made(tmp_path):
    (tmp_path / "results").symlink_to("disk/results")
    check_writable(tmp_path / "results", "--results")
    assert (tmp_path / "disk" / "results").is_dir() and (tmp_path / "results").is_symlink()


class NothingToDo:
    """An engine of its own that finds all done."""

    has_own_data = True

    def run(self, runs, estimates, stop, display):
        yield from ()


def test_copies_that_contradict_each_other_are_named_on_screen(tmp_path, capsys):
    for folder, wrong in (("here", 20), ("laptop", 30)):
        write_record(tmp_path / folder, make_record(wrong=wrong))
    do_runs([], NothingToDo(), tmp_path, Estimates([], ""), StopRequest())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: run ") and "was found 2 times and its copies differ" in line
    assert "contradictory" in (tmp_path / "LEADERBOARD.md").read_text()
