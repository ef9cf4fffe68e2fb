"""Processes and threads that the system does not give."""

import subprocess
import threading

import pytest

from bench.errors import BenchError
from bench.scheduling.driver import Driver
from bench.scheduling.messages import Job, WorkerDied
from bench.scheduling.worker import Worker

LINE = r"^no process can be started to train in: Resource temporarily unavailable; "


def refuse(*_, **__):
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_no_process_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(BenchError, match=LINE):
        Worker()


def test_no_thread_is_one_line_and_leaves_no_process(monkeypatch, tmp_path):
    started, popen = [], subprocess.Popen

    def start(*words, **options):
        started.append(popen(*words, **options))
        return started[-1]

    def cannot(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(threading.Thread, "start", cannot)
    with pytest.raises(BenchError, match="can't start new thread"):
        Worker()
    assert started[0].poll() is not None


def test_no_second_process_for_a_second_plugin_ends_that_run_alone(monkeypatch, tmp_path):
    worker = Worker()
    worker._unclean = True
    monkeypatch.setattr(subprocess, "Popen", refuse)
    worker.begin(Job({"source": "x"}, "r", str(tmp_path), "cpu"))
    (said,) = worker.receive()
    assert isinstance(said, WorkerDied) and said.reason.startswith("no process can be started")
    worker.close()


class Pool:
    def __init__(self):
        self.spawned = 0

    def size(self):
        return 2

    def spawn(self):
        self.spawned += 1
        if self.spawned > 1:
            raise BenchError("no more")
        return Idle()


class Idle:
    def ready(self):
        return True


def test_those_that_there_are_go_on(tmp_path):
    pool = Pool()
    driver = Driver([], pool, tmp_path, None, lambda: False, None)
    driver.queue = type("Queue", (), {"pending": {"a": 1, "b": 2}, "take": lambda self: None})()
    with pytest.raises(BenchError, match="no more"):  # nobody is at work
        list(driver._hand_out())
    driver.slots[0].run = object()
    pool.spawned = 1
    assert list(driver._hand_out()) == []
