"""A download goes on where it was cut, and nothing that a server or a network answers instead can spoil what has come."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import random
import re
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import datasets
from datasets import download as downloads
from datasets import idx, mnist_sources, stl10_archive
from datasets.archive import begins_as_archive
from datasets.download import Wanted, download
from datasets.reach import Probe

Answer = Callable[[str, int], bytes]  # of the request's path and where its range begins (0: it has none)


def tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("stl10_binary/train_X.bin")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


DATA = tar(random.Random(0).randbytes(200_000))
HAD = DATA[:1000]
TOTAL = len(DATA)
PAGE = b"<html>please log in to the guest network</html>"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], tuple[str, list[tuple[str, int]]]]]:
    """serve(answer) -> the address of a server that sends those bytes and hangs up, and what it is asked."""
    for name in ("http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    servers = []

    def start(answer: Answer) -> tuple[str, list[tuple[str, int]]]:
        asked: list[tuple[str, int]] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = self.rfile.readline().decode().split()
                if not request:  # one that only looked whether there is a server
                    return
                path = request[1]
                lines = iter(self.rfile.readline, b"\r\n")
                begin = [int(line[13:-3]) for line in lines if line.startswith(b"Range")]
                asked.append((path, begin[0] if begin else 0))
                self.wfile.write(answer(*asked[-1]))

        socketserver.ThreadingTCPServer.daemon_threads = True
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/archive", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def http(status: str, body: bytes = b"", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def whole(body: bytes, **headers: object) -> bytes:
    return http("200 OK", body, Content_Length=len(body), **headers)


def ranged(_: str, begin: int, data: bytes = DATA) -> bytes:
    if not begin:
        return whole(data)
    span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
    return http("206 Partial Content", data[begin:], Content_Length=len(data) - begin, Content_Range=span)


def chunked(body: bytes, size: int = 7000) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def part_of(span: str, body: bytes = DATA[1000:], status: str = "206 Partial Content") -> bytes:
    return http(status, body, Content_Length=len(body), Content_Range=span)


def leads_to(place: str) -> bytes:
    return http("302 Found", Location=place, Content_Length=0)


def wanted(address: str, size: int | None = TOTAL) -> Wanted:
    return Wanted(address, size, hashlib.md5(DATA).hexdigest(), begins_as_archive)


def refused(address: str, part: Path, said: str | None = None, size: int | None = TOTAL) -> None:
    """One line, and everything as it was."""
    before = part.read_bytes() if part.exists() else None
    with pytest.raises(datasets.DataError, match=said) as caught:
        download(wanted(address, size), part)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert (part.read_bytes() if part.exists() else None) == before
    assert [path.name for path in part.parent.iterdir()] == [part.name] * (before is not None)


OTHER = "answers with something else"
ANOTHER_PART = "sends another part than was asked for"
NOT_THE_ARCHIVE: dict[str, tuple[bytes, str]] = {
    "page": (whole(PAGE, Content_Type="text/html"), rf"{OTHER} \(text/html, 47 bytes\)"),
    "page without length": (http("200 OK", PAGE), OTHER),
    "page longer than what had come": (whole(PAGE * 100), OTHER),
    "page longer than the archive": (whole(PAGE * 10_000), OTHER),
    "page of the archive's size": (whole((PAGE * 10_000)[:TOTAL]), OTHER),
    "page in chunks": (http("200 OK", chunked(PAGE * 100), Transfer_Encoding="chunked"), OTHER),
    "page that says to be the archive": (whole((PAGE * 10_000)[:TOTAL], Content_Type="application/x-gzip"), OTHER),
    "compressed page": (http("200 OK", gzip.compress(PAGE * 100), Content_Encoding="gzip"), OTHER),
    "archive compressed once more": (http("200 OK", gzip.compress(DATA), Content_Encoding="gzip"), OTHER),
    "another archive": (whole(tar(b"x" * 5000)), OTHER),
    "nothing": (whole(b""), OTHER),
    "length that is none": (http("200 OK", PAGE, Content_Length="many"), OTHER),
    "no content": (http("204 No Content"), OTHER),
    "from a proxy": (http("203 Non-Authoritative", DATA, Content_Length=TOTAL), OTHER),
    "part, which is not said": (http("206 Partial Content", DATA[1000:]), "it says not which"),
    "part from the begin": (part_of(f"bytes 0-{TOTAL - 1}/{TOTAL}", DATA), ANOTHER_PART),
    "part that begins earlier": (part_of(f"bytes 999-{TOTAL - 1}/{TOTAL}", DATA[999:]), ANOTHER_PART),
    "part that begins later": (part_of(f"bytes 1001-{TOTAL - 1}/{TOTAL}", DATA[1001:]), ANOTHER_PART),
    "part of a longer file": (part_of(f"bytes 1000-{TOTAL}/{TOTAL + 1}"), ANOTHER_PART),
    "part of a shorter file": (part_of("bytes 1000-1046/1047", PAGE), ANOTHER_PART),
    "part beyond the end": (part_of(f"bytes 1000-{TOTAL}/{TOTAL}"), ANOTHER_PART),
    "part of no known kind": (part_of(f"lines 1000-{TOTAL - 1}/{TOTAL}"), ANOTHER_PART),
    "parts": (http("206 Partial Content", PAGE, Content_Type="multipart/byteranges; boundary=x"), ANOTHER_PART),
    "nothing there": (
        part_of("bytes */47", PAGE, "416 Range Not Satisfiable"),
        "has nothing after 1,000 bytes; to begin anew, remove",
    ),
    "forbidden": (http("403 Forbidden", PAGE), "answers 403 Forbidden"),
    "proxy wants a password": (http("407 Proxy Authentication Required", PAGE), "answers 407 Proxy"),
    "log in": (http("511 Network Authentication Required", PAGE), "answers 511"),
    "not modified": (http("304 Not Modified"), "answers 304"),
    "led nowhere": (http("302 Found", PAGE), "answers 302 Found"),
    "led round in circles": (leads_to("/archive"), "answers 302 .* infinite loop"),
    "led to a file": (leads_to("file:///etc/passwd"), "not allowed"),
    "led to ftp": (leads_to("ftp://127.0.0.1/archive"), "not on the web"),
    "led to a script": (leads_to("javascript:alert(1)"), "not allowed"),
    "led to half an address": (leads_to("http://[::1"), "the archive's server: "),
    "led to no server": (leads_to("http:///"), "the archive's server"),
    "led to no port": (leads_to("http://127.0.0.1:many/"), "the archive's server: "),
    "led to a port that cannot be": (leads_to("http://127.0.0.1:99999/"), "the archive's server: "),
    "led to a name that cannot be": (leads_to("http://a..b/"), "the archive's server: "),
    "led to a name too long": (leads_to(f"http://{'a' * 300}.example/"), "the archive's server: "),
    "led to control characters": (leads_to("http://127.0.0.1/\x01\x7f"), "the archive's server: |answers"),
    "led to bytes": (leads_to("http://127.0.0.1/\xff\xfe"), "the archive's server: |answers"),
    "nonsense": (b"nonsense\r\n\r\n", "the archive's server: "),
    "silence": (b"", "the archive's server: "),
    "half a header": (b"HTTP/1.1 200", "the archive's server"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n", "the archive's server: "),
    "a header without end": (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000, "the archive's server: "),
}


@pytest.mark.parametrize("what", NOT_THE_ARCHIVE)
def test_another_answer_than_the_archive_changes_nothing(what: str, serve: Any, tmp_path: Path) -> None:
    answer, said = NOT_THE_ARCHIVE[what]
    address, asked = serve(lambda path, begin: answer)
    part = tmp_path / "x.part"
    part.write_bytes(HAD)
    refused(address, part, said)
    assert asked[0] == ("/archive", 1000)


@pytest.mark.parametrize("what", [what for what, (answer, _) in NOT_THE_ARCHIVE.items() if b" 206 " not in answer[:15]])
def test_nor_does_it_leave_anything_where_nothing_had_come(what: str, serve: Any, tmp_path: Path) -> None:
    address, _ = serve(lambda path, begin: NOT_THE_ARCHIVE[what][0])
    refused(address, tmp_path / "x.part")


def test_led_to_a_log_in_page(serve: Any, tmp_path: Path) -> None:
    address, asked = serve(lambda path, _: leads_to("/login") if path == "/archive" else whole(PAGE, Content_Type="text/html"))
    part = tmp_path / "x.part"
    part.write_bytes(HAD)
    refused(address, part, "log-in page")
    assert [path for path, _ in asked] == ["/archive", "/login"]


WHOLE: dict[str, tuple[bytes | None, Answer]] = {
    "from the begin": (None, ranged),
    "from there on": (HAD, ranged),
    "without ranges": (HAD, lambda *_: whole(DATA)),
    "in chunks": (None, lambda *_: http("200 OK", chunked(DATA), Transfer_Encoding="chunked")),
    "in chunks, without ranges": (HAD, lambda *_: http("200 OK", chunked(DATA), Transfer_Encoding="chunked")),
    "without length": (HAD, lambda *_: http("200 OK", DATA)),
    "called compressed, as web servers do": (HAD, lambda *_: whole(DATA, Content_Encoding="x-gzip", Content_Type="text/html")),
    "total not said": (HAD, lambda *_: part_of(f"bytes 1000-{TOTAL - 1}/*")),
    "after a redirection": (HAD, lambda path, begin: leads_to("/b") if path == "/archive" else ranged(path, begin)),
    "after more than there is": (DATA + b"!", lambda _, begin: whole(DATA) if not begin else b""),
    "after something else as long": (PAGE * 2000, lambda *_: whole(DATA)),
}


@pytest.mark.parametrize("what", WHOLE)
@pytest.mark.parametrize("size", [TOTAL, None])
def test_the_archive_comes_whole(what: str, size: int | None, serve: Any, tmp_path: Path) -> None:
    had, answer = WHOLE[what]
    if size is None and had is not None and len(had) > TOTAL:
        pytest.skip("more than there is cannot be known")
    address, _ = serve(answer)
    part = tmp_path / "x.part"
    if had is not None:
        part.write_bytes(had)
    download(wanted(address, size), part)
    assert part.read_bytes() == DATA and list(tmp_path.iterdir()) == [part]


def test_nothing_is_asked_where_all_of_it_is_here(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(DATA)
    download(wanted("http://127.0.0.1:9/"), part)


@pytest.mark.parametrize("how", ["ranges", "no ranges", "chunks", "no length"])
@pytest.mark.parametrize("cut", [0, 1, 17, 200, 999, 1000, 1001, 70_000, TOTAL - 1])
def test_a_connection_cut_anywhere_costs_nothing(how: str, cut: int, serve: Any, tmp_path: Path) -> None:
    """`cut` of the body. What has come is always a beginning of the archive, and never less than before."""

    def answer(path: str, begin: int) -> bytes:
        body = DATA[:cut] if how != "ranges" else DATA[begin : min(begin + cut, TOTAL - 1)]
        if how == "ranges":
            head = ranged(path, begin)
            return head[: head.index(b"\r\n\r\n") + 4] + body
        if how == "chunks":
            return http("200 OK", chunked(body)[:-5], Transfer_Encoding="chunked")
        return http("200 OK", body, Content_Length=TOTAL) if how == "no ranges" else http("200 OK", body)

    part = tmp_path / "x.part"
    address, _ = serve(answer)
    come = 0
    for had in (None, HAD):
        if had:
            part.write_bytes(max(had, part.read_bytes() if part.exists() else b"", key=len))
            come = part.stat().st_size
        with pytest.raises(datasets.DataError, match="what has come is kept, the same command resumes"):
            download(wanted(address), part)
        kept = part.read_bytes() if part.exists() else b""
        assert DATA.startswith(kept) and len(kept) >= come
        assert not [path for path in tmp_path.iterdir() if path != part]
    good, _ = serve(ranged)
    download(wanted(good), part)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("cut", [70_000, 99_999])
def test_a_server_that_begins_anew_replaces_nothing_before_it_has_got_further(cut: int, serve: Any, tmp_path: Path) -> None:
    """Not even what cannot be a beginning of the archive: it is kept until there is more than it."""
    part = tmp_path / "x.part"
    part.write_bytes(bytes(100_000))
    address, _ = serve(lambda *_: http("200 OK", DATA[:cut], Content_Length=TOTAL))
    refused(address, part, f"the connection was cut after {cut:,} of {TOTAL:,} bytes")
    further, _ = serve(lambda *_: http("200 OK", DATA[:100_001], Content_Length=TOTAL))
    with pytest.raises(datasets.DataError, match="was cut"):
        download(wanted(further), part)
    assert part.read_bytes() == DATA[:100_001]


def test_more_than_there_is_is_noticed_at_once(serve: Any, tmp_path: Path) -> None:
    address, _ = serve(lambda *_: http("200 OK", DATA + PAGE * 10_000))
    with pytest.raises(datasets.DataError, match=rf"sends more than the {TOTAL:,} bytes"):
        download(wanted(address), tmp_path / "x.part")


@pytest.mark.parametrize("had", [None, HAD])
@pytest.mark.parametrize("answer", [ranged, lambda *_: whole(DATA)])
def test_a_full_disk_keeps_what_has_come(
    had: bytes | None, answer: Answer, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    part = tmp_path / "x.part"
    if had:
        part.write_bytes(had)
    address, _ = serve(answer)
    monkeypatch.setattr(downloads, "_opened", lambda path, begin: (path.touch(), Full())[1])
    with pytest.raises(OSError, match="No space left"):
        download(wanted(address), part)
    assert list(tmp_path.iterdir()) == [part] and part.read_bytes() == (had or b"")


def test_two_that_write_at_once_write_the_same(serve: Any, tmp_path: Path) -> None:
    """Where the file system has no locks."""
    part = tmp_path / "x.part"
    address, _ = serve(ranged)
    threads = [threading.Thread(target=download, args=(wanted(address), part)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert part.read_bytes() == DATA and list(tmp_path.iterdir()) == [part]


def test_the_known_size_belongs_to_the_known_sum() -> None:
    assert (stl10_archive.OFFICIAL.md5, stl10_archive.OFFICIAL.size) == ("91f7769df0f17e558f3565bffb0c7dfb", 2_640_397_119)


@pytest.mark.parametrize(
    "head",
    [b"", b"\x1f\x8b", PAGE, gzip.compress(b""), gzip.compress(PAGE * 100), gzip.compress(DATA), DATA[:30]],
    ids=["nothing", "two bytes", "a page", "nothing packed", "a page packed", "packed twice", "30 bytes"],
)
def test_what_does_not_begin_as_an_archive(head: bytes) -> None:
    assert not begins_as_archive(head)
    assert begins_as_archive(DATA[:4096])


@pytest.mark.parametrize(("free", "fits"), [(3.1e9, True), (2.9e9, False)])
def test_a_disk_too_small_is_said_before(
    free: float, fits: bool, serve: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = serve(lambda *_: whole(PAGE))
    monkeypatch.setattr(stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address=address))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    with pytest.raises(datasets.DataError) as caught:
        datasets.prepare(["stl10+"], say=lambda _: None)
    assert bool(re.search(r"has 2.90 GB free and 3.00 GB are needed; free space or set BENCH_CACHE", str(caught.value))) != fits
    assert bool(asked) == fits


@pytest.mark.parametrize("what", NOT_THE_ARCHIVE)
def test_a_mirror_of_mnist_that_answers_something_else_is_one_line(what: str, serve: Any) -> None:
    address, _ = serve(lambda *_: NOT_THE_ARCHIVE[what][0])
    mirror = address.removesuffix("archive")
    with pytest.raises(datasets.DataError, match=r"train-images-idx3-ubyte.gz") as caught:
        mnist_sources.from_mirror(mirror, Probe(mirror))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_mirror_that_never_stops_is_left(serve: Any) -> None:
    address, _ = serve(lambda *_: http("200 OK", bytes(idx.LARGEST_FILE + 1)))
    mirror = address.removesuffix("archive")
    with pytest.raises(datasets.DataError, match="there are more bytes than"):
        mnist_sources.from_mirror(mirror, Probe(mirror))
