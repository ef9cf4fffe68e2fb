"""A stop is heeded anywhere: between steps by being asked for, elsewhere by Stopped being raised where the main thread is."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from bench.cli.main import main
from bench.errors import Stopped
from bench.plan import PlanPart, plan_runs
from bench.protocol import load_protocol
from bench.scheduling.display import Display
from bench.scheduling.driver import Driver
from bench.scheduling.estimate import Estimates
from bench.scheduling.messages import Job, RunStopped, StepDone
from bench.scheduling.stop import SIGNALS, StopRequest, stopped_by_signals


@pytest.fixture(autouse=True)
def handlers_are_left_as_they_were():
    with stopped_by_signals():
        yield


def waits(seconds=20):
    """For something that never comes. A test fails where this returns."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(seconds)
    pytest.fail("nothing was raised")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_heeded_while_waiting(number):
    stop = StopRequest()
    stop.listen()
    began = time.monotonic()
    with pytest.raises(Stopped, match=f"{number.name} received"):
        os.kill(os.getpid(), number)
        waits()
    assert time.monotonic() - began < 1 and stop()


def test_a_budget_is_heeded_while_waiting():
    stop = StopRequest(0.2)
    began = time.monotonic()
    stop.listen()
    with pytest.raises(Stopped, match="time budget spent"):
        waits()
    assert time.monotonic() - began < 2


def test_code_that_copes_with_failures_does_not_take_it_for_one():
    StopRequest(0.1).listen()
    with pytest.raises(Stopped):
        try:
            waits()
        except Exception:
            pytest.fail("swallowed")


def test_what_was_lost_in_a_callback_is_raised_again(monkeypatch):
    monkeypatch.setattr("bench.scheduling.stop.AGAIN", 0.2)
    StopRequest(0.1).listen()
    with pytest.raises(Stopped):
        try:
            waits()
        except Stopped:
            waits()


def test_between_steps_it_is_asked_for_and_a_second_signal_interrupts():
    stop = StopRequest(0.1)
    stop.listen()
    stop.poll_only()
    time.sleep(0.3)
    assert stop() and stop.reason == "time budget spent"
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.reason == "SIGTERM received"
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        waits()


def test_a_command_under_nohup_outlives_its_terminal():
    code = """
import os, signal
from bench.scheduling.stop import StopRequest
signal.signal(signal.SIGHUP, signal.SIG_IGN)
StopRequest().listen()
os.kill(os.getpid(), signal.SIGHUP)
print("on")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "on\n"


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with stopped_by_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


class FakeWorker:
    """A worker that says that it has made a step, or is still building, whatever it is asked."""

    where = ""

    def __init__(self, steps):
        self.said, self.closed = [StepDone(0, 0)] if steps else [], False
        self.steps = steps

    def ready(self):
        return True

    def begin(self, job):
        pass

    def receive(self):
        said, self.said = self.said, []
        return said

    def stop(self):
        self.said += [RunStopped()] if self.steps else []

    def close(self):
        self.closed = True


class TwoWorkers:
    """A pool with one worker of each kind."""

    device = torch.device("cpu")

    def __init__(self):
        self.workers = [FakeWorker(steps=True), FakeWorker(steps=False)]
        self.spawn = iter(self.workers).__next__

    def size(self):
        return 2

    def job(self, slot, run):
        return Job(run.to_json(), run.id, "", "cpu")


@pytest.mark.parametrize("budget", [0.5, None])
def test_a_worker_that_is_still_building_is_not_waited_for(tmp_path, budget):
    runs = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28"])], [0, 1], load_protocol("quick"))
    stop, pool = StopRequest(budget), TwoWorkers()
    if budget is None:
        threading.Timer(0.5, setattr, (stop, "signal_name", "SIGTERM")).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        list(Driver(runs, pool, tmp_path, Estimates([], ""), stop, Display(2)).run())
    assert time.monotonic() - began < 5
    assert all(worker.closed for worker in pool.workers)
    assert not list((tmp_path / ".leases").iterdir())  # both can be taken again at once


RUN = ["run", "--model", "cnn", "--task", "mnist-scale-28", "--realizations", "0", "--protocol", "quick", "--device", "cpu"]
WAITED_FOR = {  # what a command may be at before the first step, and where
    "the data": "datasets.prepare",
    "a cluster": "bench.scheduling.engines.options.make_engine",
    "the device": "bench.machine.device.choose_device",
    "earlier records": "bench.scheduling.done_runs.read_results",
}


@pytest.mark.parametrize("place", WAITED_FOR.values(), ids=WAITED_FOR)
@pytest.mark.parametrize("by", ["budget", "SIGTERM"])
def test_a_run_stops_before_its_first_step_in_one_line(monkeypatch, tmp_path, capsys, place, by):
    def wait(*_, **__):
        if by == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        waits()

    monkeypatch.setattr(place, wait)
    budget = ["--time-budget", "1s"] if by == "budget" else []
    with pytest.raises(SystemExit) as ended:
        main([*RUN, *budget, "--results", str(tmp_path)])
    error = capsys.readouterr().err
    assert ended.value.code == 75 and error.startswith("bench: stopped (") and error.count("\n") == 1
    assert ("time budget spent" if by == "budget" else "SIGTERM received") in error
    assert not list(tmp_path.rglob("*.json"))


def test_other_verbs_stop_in_one_line_too(monkeypatch, capsys):
    def wait(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        waits()

    monkeypatch.setattr("datasets.prepare", wait)
    with pytest.raises(SystemExit) as ended:
        main(["data", "--task", "mnist-scale-28", "--realizations", "0"])
    error = capsys.readouterr().err
    assert ended.value.code == 75 and "SIGTERM received" in error and error.count("\n") == 1
