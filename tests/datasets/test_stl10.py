"""STL-10: the official files, wherever they come from. A tiny file set in the official format goes through the same code."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from dataclasses import replace

import pytest
import torch

import datasets
from datasets import stl10, stl10_archive


@pytest.fixture
def tiny(stl10_of):
    """Five images. Returns the content of the four files."""
    return stl10_of(train=3, test=2)


@pytest.fixture
def folder(tiny, tmp_path, monkeypatch):
    """A user's folder with the tiny files."""
    place = tmp_path / "mine"
    place.mkdir()
    for name, data in tiny.items():
        (place / name).write_bytes(data)
    monkeypatch.setenv("BENCH_DATA", str(place))
    return place


def archive(files, prefix="stl10_binary/"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def serve(monkeypatch):
    """A server of one archive: serve(bytes, ranges=True, cut=None) -> the list of Range headers it was asked for."""
    servers = []

    def start(data, *, ranges=True, cut=None, md5=None):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                asked.append(wanted)
                first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and ranges else 0
                if wanted and ranges and first >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206 if wanted and ranges else 200)
                if wanted and ranges:
                    self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(data) - first))
                self.end_headers()
                self.wfile.write(data[first:cut] if cut and len(asked) == 1 else data[first:])

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, md5_there = f"http://127.0.0.1:{server.server_port}/stl10_binary.tar.gz", md5 or hashlib.md5(data).hexdigest()
        official = replace(stl10_archive.OFFICIAL, address=address, size=None, md5=md5_there)
        monkeypatch.setattr(stl10_archive, "OFFICIAL", official)
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_pixels_are_stored_by_column_and_labels_from_one(folder, tiny):
    images, labels = datasets.load("stl10+", split="train")
    assert images.shape == (3, 3, 96, 96)
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    assert labels.tolist() == [9, 0, 6]
    stored = tiny["train_X.bin"]
    for image, channel, row, column in ((0, 0, 0, 1), (1, 2, 5, 90), (2, 1, 95, 0)):
        place = ((image * 3 + channel) * 96 + column) * 96 + row
        assert images[image, channel, row, column].item() == stored[place]
    assert datasets.load("stl10+", split="test")[1].tolist() == [9, 0]


def test_places_are_searched_in_order(folder, tiny, cache, monkeypatch):
    assert stl10.find() == {name: folder / name for name in tiny}
    (folder / "stl10_binary").mkdir()
    for name in tiny:
        (folder / name).rename(folder / "stl10_binary" / name)
    assert stl10.find() == {name: folder / "stl10_binary" / name for name in tiny}
    cache.mkdir(exist_ok=True)
    (folder / "stl10_binary").rename(cache / "stl10_binary")
    assert stl10.find() == {name: cache / "stl10_binary" / name for name in tiny}
    monkeypatch.delenv("BENCH_DATA")
    datasets.prepare(["stl10+"])


def test_there_is_no_validation_part(folder):
    with pytest.raises(datasets.DataError, match=r"unknown split 'val'; splits: train, test"):
        datasets.load("stl10+", split="val")
    with pytest.raises(datasets.DataError, match="no validation part"):
        stl10.load("validation")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "test_y.bin").unlink(), "lacks test_y.bin; put all of train_X.bin"),
        (lambda folder: (folder / "train_y.bin").write_bytes(b"1"), "has 1 bytes, not 3"),
        (lambda folder: (folder / "train_y.bin").write_bytes(b"123"), "has MD5 .* not .* remove it"),
    ],
)
def test_files_that_are_not_the_official_ones(folder, damage, said):
    damage(folder)
    with pytest.raises(datasets.DataError, match=said):
        datasets.prepare(["stl10+"])


def test_a_file_changed_after_it_was_checked_is_noticed(folder):
    datasets.prepare(["stl10+"])
    labels = (folder / "train_y.bin").read_bytes()
    (folder / "train_y.bin").write_bytes(labels[::-1])
    with pytest.raises(datasets.DataError, match="has MD5"):
        datasets.load("stl10+", split="train")


def test_download(tiny, serve, cache):
    serve(archive({**tiny, "unlabeled_X.bin": b"x" * 1000, "../../evil": b"evil"}))
    said = []
    datasets.prepare(["stl10+"], say=said.append)
    assert sorted(path.name for path in (cache / "stl10_binary").iterdir()) == sorted(tiny)
    assert not list(cache.parent.rglob("evil"))
    assert not list(cache.glob("*.part"))
    assert "fetching the official archive" in said[0]
    assert datasets.load("stl10+", split="train")[1].tolist() == [9, 0, 6]


def test_a_cut_download_goes_on(tiny, serve, cache):
    data = archive(tiny)
    asked = serve(data, cut=1000)
    with pytest.raises(datasets.DataError, match=r"cut after 1,000 of .* same command resumes"):
        datasets.prepare(["stl10+"])
    datasets.prepare(["stl10+"])
    assert asked == [None, "bytes=1000-"]
    assert (cache / "stl10_binary" / "test_X.bin").read_bytes() == tiny["test_X.bin"]


def test_a_server_that_knows_no_ranges(tiny, serve, cache):
    data = archive(tiny)
    cache.mkdir()
    (cache / "stl10_binary.tar.gz.part").write_bytes(data[:500])
    asked = serve(data, ranges=False)
    datasets.prepare(["stl10+"])
    assert asked == ["bytes=500-"]


def test_a_download_that_is_already_whole(tiny, serve, cache):
    data = archive(tiny)
    cache.mkdir()
    (cache / "stl10_binary.tar.gz.part").write_bytes(data)
    serve(data)
    datasets.prepare(["stl10+"])


def test_an_archive_that_is_not_the_official_one(tiny, serve, cache):
    serve(archive(tiny), md5="0" * 32)
    with pytest.raises(datasets.DataError, match=r"the archive has MD5 .* it was removed"):
        datasets.prepare(["stl10+"])
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda tiny: archive({name: content for name, content in tiny.items() if name != "test_y.bin"}), "has no test_y.bin"),
        (
            lambda tiny: b"no archive at all",
            r"the archive's server answers with something else \(of no stated type, 17 bytes\)",
        ),
        (lambda tiny: archive(tiny)[:2000], "the archive cannot be read"),
        (lambda tiny: archive({**tiny, "test_y.bin": b"99"}), "has MD5"),
    ],
)
def test_archives_that_lack_something(tiny, serve, data, said):
    serve(data(tiny))
    with pytest.raises(datasets.DataError, match=rf"STL-10 could not be had .*{said}.*set BENCH_DATA"):
        datasets.prepare(["stl10+"])


def test_no_server(tiny, monkeypatch):
    monkeypatch.setattr(stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address="http://127.0.0.1:9/x.tar.gz"))
    with pytest.raises(datasets.DataError, match=r"STL-10 could not be had .*the archive's server"):
        datasets.prepare(["stl10+"])


def test_fingerprint_and_sizes_need_no_data():
    assert datasets.fingerprint("stl10+") == datasets.fingerprint("stl10+", 5) == stl10.fingerprint()
    assert datasets.fingerprint("stl10+") != datasets.fingerprint("mnist-scale-28")
    assert datasets.sizes("stl10+") == {"train": 5000, "test": 8000}
    with pytest.raises(datasets.DataError, match="no known scale factors"):
        datasets.load_scales("stl10+")
    with pytest.raises(datasets.DataError, match="test_size 50000 does not exist for stl10"):
        datasets.fingerprint("stl10+", test_size=50_000)


def test_the_real_images(request, monkeypatch):
    """Needs the official files in the user's own BENCH_DATA or cache."""
    monkeypatch.undo()  # the empty cache of every other test
    if stl10.find() is None:
        pytest.skip(f"no STL-10 in {', '.join(map(str, stl10.searched()))}")
    images, labels = stl10.load("train")
    assert labels[:5].tolist() == [1, 5, 1, 6, 3]
    assert labels.bincount().tolist() == [500] * 10
    means = images.double().mean(dim=(0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor(stl10.MEAN).double(), rtol=0, atol=1e-4)
