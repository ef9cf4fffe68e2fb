"""CUDA MPS with a pretended daemon: started where it may be, ended with the command, never in anybody's way."""

import ctypes
import os
import sys
from pathlib import Path

import pytest

from bench.scheduling.engines import mps
from bench.scheduling.engines.mps import LOGS, PIPES, shared_gpu

PROBE = mps.PROBE
GOOD = '[ "$1" = -d ] && exit 0\nread said; [ "$said" = quit ]'


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    for name in (PIPES, LOGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(mps, "PROBE", "")  # there is no card here


@pytest.fixture
def daemon(tmp_path):
    """daemon(script): a program of the daemon's name on the PATH; what it was called with, line by line."""
    log = tmp_path / "calls"

    def make(script):
        path = tmp_path / mps.CONTROL
        path.write_text(f'#!/bin/sh\necho "$* | ${PIPES} | ${LOGS}" >> {log}\n{script}\n')
        path.chmod(0o755)
        return path

    make.calls = lambda: [line.split(" | ") for line in log.read_text().splitlines()] if log.exists() else []
    return make


def test_it_is_started_with_folders_of_its_own_and_ended(daemon):
    daemon(GOOD)
    said = []
    with shared_gpu(said.append) as through_mps:
        assert through_mps
        folder = os.environ[PIPES]
        assert Path(folder).is_dir() and os.environ[LOGS]
        assert len(f"{folder}/nvidia-cuda-mps-control.pid") < 60  # a socket's path may have 107 characters
        assert [call[0] for call in daemon.calls()] == ["-d"]
    assert PIPES not in os.environ and LOGS not in os.environ and not Path(folder).exists()
    assert daemon.calls() == [["-d", folder, folder], ["", folder, folder]]
    assert said == ["CUDA MPS: started; runs on one GPU compute at the same time"]


def test_it_is_ended_when_the_runs_end_badly(daemon):
    daemon(GOOD)
    with pytest.raises(ZeroDivisionError), shared_gpu():
        raise ZeroDivisionError
    assert [call[0] for call in daemon.calls()] == ["-d", ""] and PIPES not in os.environ


def test_without_the_binary_nothing_happens():
    said = []
    with shared_gpu(said.append) as through_mps:
        assert not through_mps and PIPES not in os.environ
    assert said == []


def test_somebody_elses_daemon_is_used_and_left_alone(daemon, monkeypatch):
    daemon(GOOD)
    monkeypatch.setenv(PIPES, "/theirs")
    said = []
    with shared_gpu(said.append) as through_mps:
        assert through_mps and os.environ[PIPES] == "/theirs"
    assert os.environ[PIPES] == "/theirs" and daemon.calls() == []
    assert said == [f"CUDA MPS: the daemon of {PIPES} is used, and left running"]


def test_one_that_cannot_start_is_said_and_the_runs_go_on(daemon):
    daemon("echo first; echo An instance of this daemon is already running >&2; exit 1")
    said = []
    with shared_gpu(said.append) as through_mps:
        assert not through_mps and PIPES not in os.environ
    (line,) = said
    assert "exit code 1: An instance of this daemon is already running" in line and "in turns" in line


def test_one_that_cannot_serve_is_ended_again(daemon, monkeypatch):
    """The daemon starts everywhere; whether the card lets it serve is only seen by a process that wants a context."""
    daemon(GOOD)
    monkeypatch.setattr(mps, "PROBE", f"import os, sys; print('seen', os.environ[{PIPES!r}]); sys.exit(5)")
    said = []
    with shared_gpu(said.append) as through_mps:
        assert not through_mps and PIPES not in os.environ
    assert [call[0] for call in daemon.calls()] == ["-d", ""]
    assert "no context on the card through it: exit code 5: seen" in said[0]


def test_one_that_hangs_is_given_up(daemon, monkeypatch):
    monkeypatch.setattr(mps, "SECONDS_TO_ANSWER", 1.0)
    daemon("sleep 60")
    said = []
    with shared_gpu(said.append) as through_mps:
        assert not through_mps
    assert "timed out" in said[0]


def test_a_daemon_that_stays_does_not_keep_us_waiting(daemon, monkeypatch):
    """What it leaves running holds our output's other end."""
    monkeypatch.setattr(mps, "SECONDS_TO_ANSWER", 10.0)
    daemon('if [ "$1" = -d ]; then sleep 60 & exit 0; fi; read said')
    with shared_gpu(lambda text: None) as through_mps:
        assert through_mps


def test_the_probe_asks_the_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        problem = mps._call([sys.executable, "-c", PROBE], {})
        assert problem.startswith("exit code 1: OSError: libcuda.so.1")
    else:
        pytest.skip("here is a driver")
