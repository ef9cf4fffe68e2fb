"""All checks of a model: in their order, in a process that may die or never end, which costs one check."""

import pytest
from faulty import FAULTY

from bench.checking import check
from bench.checking.check import Checker
from bench.checking.finding import Finding, listed, own_lines
from bench.checking.names import CHECKS, NEEDED
from bench.checking.process import Gone, Worker
from bench.errors import BenchError

TASK = "mnist-scale-28"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))  # no data
    path = tmp_path / "faulty_nets.py"
    path.write_text(FAULTY)
    return str(path)


@pytest.mark.slow
def test_a_process_that_dies_or_never_ends_costs_one_question(plugin):
    worker = Worker([plugin])
    try:
        with pytest.raises(Gone, match="ended itself with exit code 3"):
            worker.ask(60, do="check", name="outputs", model="exits-net", task=TASK)
        with pytest.raises(BenchError, match="unknown model 'no-net'"):
            worker.ask(60, do="pairs", names=["no-net"], tasks=["*"])
        assert worker.ask(60, do="check", name="builds", model="loops-net", task=TASK)["verdict"] == "pass"
        with pytest.raises(Gone, match="it did not end within 1 s"):
            worker.ask(1, do="check", name="outputs", model="loops-net", task=TASK)
        assert worker.ask(60, do="pairs", names=["sound-net"], tasks=["*"]) == [["sound-net", TASK], ["sound-net", f"{TASK}+"]]
    finally:
        worker.close()


class Pretended:
    """A worker without a process, whose answers are given."""

    def __init__(self, plugins):
        self.asked, self.plugins = [], plugins

    def ask(self, limit, do, **question):
        self.asked.append((do, question.get("name", question.get("model")), question.get("task")))
        if do == "load":
            return ["a-net"]
        if do == "pairs":
            return [("a-net", "mnist-scale-28"), ("a-net", "mnist-scale-28+"), ("a-net", "stl10+")]
        if do == "same":
            return True
        if do == "errors":
            raise Gone("it did not end within 1 s, and was ended")
        if question["name"] == "steps":
            raise Gone("its process was ended by SIGSEGV")
        verdict = "fail" if question["task"] == "stl10+" and question["name"] == "outputs" else "pass"
        return {"verdict": verdict, "text": "so"}

    def close(self):
        pass


def test_the_order_of_checks_and_what_stops_them(monkeypatch):
    monkeypatch.setattr(check, "Worker", Pretended)
    checker = Checker(["a_net.py"], [], ["*"], None)
    found = [(one.task, one.check, one.finding.verdict) for one in checker.findings()]
    first = [("mnist-scale-28", name, "fail" if name == "steps" else "pass") for name in CHECKS]
    assert found[: len(CHECKS)] == first  # a crash is that check's alone
    assert found[len(CHECKS) :] == [
        ("mnist-scale-28", "equivariance", "fail"),
        ("mnist-scale-28+", "network", "pass"),  # the same network is not checked twice
        ("stl10+", "builds", "pass"),
        ("stl10+", "outputs", "fail"),  # without which nothing else can be asked
    ]
    assert checker._limit("stl10+") > checker._limit(TASK) and Checker([], ["cnn"], ["*"], 7)._limit(TASK) == 7
    assert [*CHECKS][:2] == [*NEEDED]


def test_a_file_that_cannot_be_loaded_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "dies_net.py"
    path.write_text("import os\nos._exit(4)\n")
    with pytest.raises(BenchError, match=r"dies_net\.py cannot be loaded: its process ended itself with exit code 4"):
        Checker([str(path)], [], ["*"], 60)


def test_findings_are_short():
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more" and listed(["a"]) == "a"
    assert own_lines(ValueError("x"), None) == [] and Finding("pass", "x").more == []
