"""A stop is heeded anywhere: between steps by being asked for, elsewhere by Stopped being raised where the main thread is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.errors import Stopped
from bench.stop import SIGNALS, StopRequest, heeded


@pytest.fixture(autouse=True)
def handlers_are_left_as_they_were():
    with heeded():
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
    monkeypatch.setattr("bench.stop.AGAIN", 0.2)
    StopRequest(0.1).listen()
    with pytest.raises(Stopped):
        try:
            waits()
        except Stopped:
            waits()


def test_between_steps_it_is_asked_for_and_a_second_signal_interrupts():
    stop = StopRequest(0.1)
    stop.listen()
    stop.between_steps()
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
from bench.stop import StopRequest
signal.signal(signal.SIGHUP, signal.SIG_IGN)
StopRequest().listen()
os.kill(os.getpid(), signal.SIGHUP)
print("on")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "on\n"


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with heeded():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
