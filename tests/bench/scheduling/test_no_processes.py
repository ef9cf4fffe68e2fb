"""Processes and threads that the system does not give."""

import subprocess
import threading

import pytest

from bench.errors import BenchError
from bench.scheduling import worker
from bench.scheduling.driver import Driver
from bench.scheduling.worker import Job, Worker

LINE = r"^no process can be started to train in: Resource temporarily unavailable; "


def refuse(*_, **__):
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_no_process_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(worker.subprocess, "Popen", refuse)
    with pytest.raises(BenchError, match=LINE):
        Worker(tmp_path)


def test_no_thread_is_one_line_and_leaves_no_process(monkeypatch, tmp_path):
    started, popen = [], subprocess.Popen

    def start(*words, **options):
        started.append(popen(*words, **options))
        return started[-1]

    def cannot(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker.subprocess, "Popen", start)
    monkeypatch.setattr(threading.Thread, "start", cannot)
    with pytest.raises(BenchError, match="can't start new thread"):
        Worker(tmp_path)
    assert started[0].poll() is not None


def test_no_second_process_for_a_second_plugin_ends_that_run_alone(monkeypatch, tmp_path):
    place = Worker(tmp_path)
    place._used = True
    monkeypatch.setattr(worker.subprocess, "Popen", refuse)
    place.begin(Job({"source": "x"}, "r", "cpu"))
    (said,) = place.receive()
    assert said["died"].startswith("no process can be started")
    place.close()


class Engine:
    def __init__(self):
        self.hired = 0

    def places(self):
        return 2

    def hire(self, place):
        self.hired += 1
        if self.hired > 1:
            raise BenchError("no more")
        return NotReady()

    has_own_data = False


class NotReady:
    def ready(self):
        return True


def test_those_that_there_are_go_on(tmp_path):
    engine = Engine()
    driver = Driver([], engine, tmp_path, None, lambda: False, None)
    queue = type("Queue", (), {"pending": {"a": 1, "b": 2}, "take": lambda self: None})()
    with pytest.raises(BenchError, match="no more"):  # nobody is at work
        list(driver._hand_out(queue))
    driver.places[0].run = object()
    engine.hired = 1
    assert list(driver._hand_out(queue)) == []
