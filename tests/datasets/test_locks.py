"""A lock saves work and nothing relies on it: refused by the file system, left behind or held by one who stands still."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import datasets
from datasets import locks, mnist, mnist_scale_cache, stl10, stl10_archive
from datasets.locks import held

HOLD = (
    "import fcntl, sys, time\n"
    "f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    "print('held', flush=True); time.sleep(60)\n"
)
GROW = (
    "import os, sys, time\n"
    "for _ in range(12):\n    open(sys.argv[1], 'a').write('x'); time.sleep(0.25)\n"
    "os.kill(int(sys.argv[2]), 9)\n"
)


@pytest.fixture
def lock(cache: Path) -> Path:
    cache.mkdir()
    return cache / "x.lock"


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.5)
    monkeypatch.setattr(locks, "POLL", 0.02)


def holder(lock: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def is_held(lock: Path) -> bool:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_it_keeps_others_out_and_names_its_holder_while_it_is_held(lock: Path, lines: list[str]) -> None:
    with held(lock, "X", "building", lines.append):
        assert is_held(lock) and f"process {os.getpid()} on " in lock.read_text()
    assert not is_held(lock) and lock.read_text() == "" and lines == []


@pytest.mark.parametrize("left", ["", "\0\0", "4711\nsome-host\n", "process 1 on a machine that is no more"])
def test_a_file_left_behind_locks_nothing(left: str, lock: Path, lines: list[str]) -> None:
    """Of a process that was killed, or of another library's lock that the file's mere existence is."""
    lock.write_text(left)
    with held(lock, "X", "building", lines.append):
        assert is_held(lock)
    assert lines == []


@pytest.mark.parametrize("refusal", [errno.ENOLCK, errno.ENOTSUP, errno.EPERM, errno.ENOSYS, errno.EIO, errno.EBADF])
@pytest.mark.parametrize("left", [True, False])
def test_where_the_file_system_refuses_the_work_is_done_without(
    refusal: int, left: bool, lock: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if left:
        lock.touch()

    def refuse(*_: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(fcntl, "flock", refuse)
    done = False
    with held(lock, "X", "building", lines.append):
        done = True
    assert done
    assert lines == [f"X: {lock} cannot be locked ({os.strerror(refusal)}); another process may be doing the same work"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nowhere", "no folder"])
def test_what_is_no_file_is_done_without(kind: str, lock: Path, lines: list[str]) -> None:
    if kind == "folder":
        lock.mkdir()
    elif kind == "pipe":
        os.mkfifo(lock)
    elif kind == "link to nowhere":
        lock.symlink_to(lock.parent / "no" / "where")
    place = lock.parent / "none" / "x.lock" if kind == "no folder" else lock
    done = False
    with held(place, "X", "building", lines.append):
        done = True
    assert done and len(lines) == (kind != "pipe") and all("cannot be locked" in line for line in lines)


def test_an_error_in_the_work_is_the_works_own(lock: Path, lines: list[str]) -> None:
    with pytest.raises(OSError, match="disk full"), held(lock, "X", "building", lines.append):
        raise OSError("disk full")
    assert not is_held(lock) and lines == []


def test_one_who_ends_hands_over(lock: Path, lines: list[str]) -> None:
    process = holder(lock)
    lock.write_text(f"process {process.pid} on here")

    def say(line: str) -> None:
        lines.append(line)
        process.kill()

    with held(lock, "X", "building", say):
        assert is_held(lock)
    process.wait()
    assert lines == [f"X: waiting for another process that is building in {lock.parent} (process {process.pid} on here)"]


@pytest.mark.usefixtures("hurried")
def test_one_who_stands_still_is_passed_by_in_the_end(lock: Path, lines: list[str]) -> None:
    process = holder(lock)
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        with held(lock, "X", "building", lines.append):
            assert time.monotonic() - began < 10
    finally:
        process.kill()
        process.wait()
    assert lines[-1].endswith("nothing has come of it for 0 min; going on without it")


@pytest.mark.usefixtures("hurried")
def test_one_who_gets_on_is_waited_for(lock: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 2.0)
    process = holder(lock)
    growing = lock.parent / "x.part"
    growth = subprocess.Popen([sys.executable, "-c", GROW, growing, str(process.pid)])
    with held(lock, "X", "building", lines.append):
        assert is_held(lock) and growing.stat().st_size == 12
    assert (growth.wait(), process.wait()) == (0, -signal.SIGKILL)
    assert lines == [f"X: waiting for another process that is building in {lock.parent}"]


def test_waiting_ends_with_an_exception_of_a_signal_handler(lock: Path, lines: list[str]) -> None:
    class Out(BaseException):
        pass

    def out(*_: object) -> None:
        raise Out

    process = holder(lock)
    before = signal.signal(signal.SIGALRM, out)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.monotonic()
    try:
        with pytest.raises(Out), held(lock, "X", "building", lines.append):
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        process.kill()
        process.wait()
    assert time.monotonic() - began < 2
    assert not is_held(lock)


def test_data_are_prepared_where_there_are_no_locks(
    cache: Path, stl10_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mnist-scale.lock", "stl10.lock"):
        (cache / name).mkdir(parents=True)
    built: list[list[int]] = []
    monkeypatch.setattr(mnist, "load", lambda say: None)
    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", lambda missing, size: built.append(missing))
    datasets.prepare(["mnist-scale-28"], [0, 3], say=lambda _: None)
    assert built == [[0, 3]]
    monkeypatch.setattr(stl10_archive, "unpack", lambda archive, folder, checks: built.append([]))
    stl10_of(train=3, test=2)
    stl10_archive.take(tmp_path / "x", cache / stl10.FOLDER, dict.fromkeys(stl10.MD5, stl10.check), lambda _: None)
    assert built == [[0, 3], []]
