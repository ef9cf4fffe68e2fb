"""Data lie as other tools left them: torchvision's folders, Kaggle's, Keras's file, archives; their content decides."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import datasets
from datasets import idx, mnist, mnist_sources, places, stl10, stl10_archive

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = idx.FILES


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, empty."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist, "save_arrays", lambda path, arrays: None)  # which has tests of its own
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mnist_sources, "MIRRORS", [])
    monkeypatch.setattr(stl10_archive, "OFFICIAL", replace(stl10_archive.OFFICIAL, address="http://127.0.0.1:9/"))


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> mnist.Mnist:
    """Nine digits that are MNIST, for one test: what is found matters here, not how much of it."""
    images = np.arange(9 * 28 * 28).astype(np.uint8).reshape(9, 28, 28)
    few = mnist.Mnist(images, np.arange(9, dtype=np.uint8))

    def check(found: mnist.Mnist) -> mnist.Mnist:
        if not all(np.array_equal(*pair) for pair in zip(found, few, strict=True)):
            raise datasets.DataError("this is not MNIST")
        return found

    monkeypatch.setattr(mnist, "check", check)
    monkeypatch.setattr(idx, "SHAPES", {name: (6 if "train" in name else 3, *shape[1:]) for name, shape in idx.SHAPES.items()})
    return few


@pytest.fixture
def files(digits: mnist.Mnist, tmp_path: Path) -> Path:
    """A folder with their four files, compressed."""
    folder = tmp_path / "files"
    folder.mkdir()
    parts = (digits.images[:6], digits.labels[:6], digits.images[6:], digits.labels[6:])
    for (name, shape), values in zip(idx.SHAPES.items(), parts, strict=True):
        header = bytes([0, 0, 8, len(shape)]) + b"".join(extent.to_bytes(4, "big") for extent in shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + values.tobytes()))
    return folder


def put(files: Path, names: dict[str, str], folder: Path, spoilt: str = "") -> None:
    """Copy the stand-ins to other names, unpacked where these do not end in .gz."""
    for name, place in names.items():
        content = (files / f"{name}.gz").read_bytes()
        if not place.lower().endswith(".gz") or name == spoilt:
            content = gzip.decompress(content)
        if name == spoilt:
            content = content[:-1] + bytes([content[-1] ^ 1])
            content = gzip.compress(content, 1) if place.endswith(".gz") else content
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)


def each(pattern: str) -> dict[str, str]:
    return {name: pattern.format(name, name.replace("-idx", ".idx")) for name in idx.FILES}


LAYOUTS: dict[str, tuple[dict[str, str], str]] = {  # where the files lie below a folder, and what of it BENCH_DATA is
    "torchvision's root": (each("MNIST/raw/{0}"), ""),
    "torchvision's MNIST": (each("MNIST/raw/{0}"), "MNIST"),
    "torchvision's raw": (each("MNIST/raw/{0}"), "MNIST/raw"),
    "above torchvision's root": (each("datasets/MNIST/raw/{0}.gz"), ""),
    "in small letters": (each("mnist/raw/{0}"), ""),
    "in capital letters": ({name: f"MNIST/RAW/{name.upper()}.GZ" for name in idx.FILES}, ""),
    "Kaggle's archive, unpacked": (each("archive/{1}"), ""),
    "Kaggle's folder for each file": (each("{0}/{0}"), ""),
    "Kaggle's folder for each file, with dots": (each("{1}/{1}"), ""),
    "Kaggle's folder for each file, dots outside": (each("archive/{1}/{0}"), ""),
    "a folder for some files": (each("{0}") | {TEST_LABELS: f"{TEST_LABELS}/{TEST_LABELS}"}, ""),
    "TensorFlow's": (each("MNIST_data/{0}.gz"), ""),
    "packed and unpacked": (each("{0}.gz") | {TRAIN_LABELS: TRAIN_LABELS, TEST_IMAGES: TEST_IMAGES}, ""),
    "one of the files": (each("{0}.gz"), f"{TEST_LABELS}.gz"),
    "a link": (each("real/{0}"), "link"),
    "some files beside all of them": (each("MNIST/raw/{0}") | {"": ""}, ""),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("what", LAYOUTS)
def test_mnist_is_found(what: str, data: Path, files: Path, digits: mnist.Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    names, given = LAYOUTS[what]
    put(files, {name: place for name, place in names.items() if name}, data)
    if "" in names:
        put(files, {TRAIN_LABELS: TRAIN_LABELS}, data)
    if given == "link":
        (data / "link").symlink_to(data / "real")
    monkeypatch.setenv("BENCH_DATA", str(data / given))
    before = sorted(data.rglob("*"))
    found = mnist.load(lambda _: None)
    assert np.array_equal(found.images, digits.images) and np.array_equal(found.labels, digits.labels)
    assert sorted(data.rglob("*")) == before


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("place", ["mnist.npz", "datasets/mnist.npz"])
@pytest.mark.parametrize("kerass", [True, False])
def test_mnist_is_found_in_one_file(place: str, kerass: bool, data: Path, digits: mnist.Mnist) -> None:
    (data / place).parent.mkdir(exist_ok=True)
    x, y = digits
    keras = {"x_train": x[:6], "y_train": y[:6], "x_test": x[6:], "y_test": y[6:]}
    np.savez(data / place, **(keras if kerass else {"images": x, "labels": y}))
    assert np.array_equal(mnist.load(lambda _: None).images, x)


def _other_data(files: Path, data: Path) -> None:
    put(files, each("mnist/{0}"), data, spoilt=TRAIN_IMAGES)  # as FashionMNIST does


def _other_file(files: Path, data: Path) -> None:
    np.savez(data / "mnist.npz", x_train=np.zeros(3), y_train=np.zeros(3), x_test=np.zeros(3), y_test=np.zeros(3))


def _pickled(files: Path, data: Path) -> None:
    np.savez(data / "mnist.npz", images=np.array([{}], dtype=object), labels=np.zeros(1))


def _half_unpacked(files: Path, data: Path) -> None:
    put(files, {TRAIN_IMAGES: TRAIN_IMAGES}, data)
    os.truncate(data / TRAIN_IMAGES, 1_000)


def _broken(files: Path, data: Path) -> None:
    put(files, each("{0}.gz"), data)
    os.truncate(data / f"{TEST_IMAGES}.gz", 100)


def _folders_for_files(files: Path, data: Path) -> None:
    for name in idx.FILES:
        (data / name).mkdir()


def _dangling(files: Path, data: Path) -> None:
    for name in idx.FILES:
        (data / name).symlink_to(data / "nowhere" / name)


def _round_in_circles(files: Path, data: Path) -> None:
    (data / "archive").symlink_to(data)
    (data / "mnist").symlink_to(data / "mnist")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "other",
    [_other_data, _other_file, _pickled, _half_unpacked, _broken, _folders_for_files, _dangling, _round_in_circles],
)
def test_what_is_no_mnist_is_passed_over_for_the_next_place(
    other: Callable[[Path, Path], None], data: Path, files: Path, digits: mnist.Mnist
) -> None:
    other(files, data)
    with pytest.raises(datasets.DataError, match="MNIST could not be had") as caught:
        mnist.load(lambda _: None)
    assert "\n" not in str(caught.value)
    put(files, each("MNIST/raw/{0}"), data)
    assert np.array_equal(mnist.load(lambda _: None).images, digits.images)


@pytest.mark.usefixtures("no_network")
def test_half_a_file_beside_the_whole_one_packed(data: Path, files: Path) -> None:
    put(files, each("{0}.gz"), data)
    _half_unpacked(files, data)
    assert len(mnist.load(lambda _: None).images) == 9


def test_a_folder_is_not_walked_through(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("imagenet/mnist", "a/b/c", "data/data/data/data/data/data"):
        (data / folder).mkdir(parents=True)
        (data / folder / TRAIN_LABELS).touch()
    asked: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (asked.append(str(folder)), scan(folder))[1])
    assert list(places.places([TRAIN_LABELS])) == []
    assert asked == [str(data), str(data / "data"), str(data / "data/data"), str(data / "data/data/data")]


# -------------------------------------------------------------------------------------------------------------- STL-10


@pytest.fixture
def tiny(stl10_of: Callable[..., dict[str, bytes]]) -> dict[str, bytes]:
    return stl10_of(train=3, test=2)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def packed(path: Path, files: dict[str, bytes]) -> Path:
    """An archive as the official one, with a file of other images before those that are wanted."""
    import tarfile

    folder = path.parent / "to pack"
    fill(folder, {f"stl10_binary/{name}": content for name, content in {"unlabeled_X.bin": b"x" * 5000, **files}.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        archive.add(folder / "stl10_binary", "stl10_binary")
    shutil.rmtree(folder)
    return path


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("place", "given"),
    [
        ("", ""),
        ("stl10_binary", ""),
        ("stl10_binary", "stl10_binary"),
        ("STL10_Binary", ""),
        ("stl10/stl10_binary", ""),
        ("archive/stl10_binary", ""),
        ("data/stl10_binary/stl10_binary", ""),
        ("stl10_binary", "stl10_binary/test_X.bin"),
    ],
)
def test_stl10_is_found(
    place: str, given: str, data: Path, cache: Path, tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data / place, tiny)
    monkeypatch.setenv("BENCH_DATA", str(data / given))
    datasets.prepare(["stl10+"])
    assert datasets.load("stl10+", split="train")[1].tolist() == [9, 0, 6]
    assert not (cache / "stl10_binary").exists()


@pytest.mark.usefixtures("no_network")
def test_stl10_is_found_in_capital_letters(data: Path, tiny: dict[str, bytes]) -> None:
    fill(data, {name.upper(): content for name, content in tiny.items()})
    assert datasets.load("stl10+", split="test")[1].tolist() == [9, 0]


ARCHIVE = stl10_archive.NAME


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("place", "given"),
    [
        (ARCHIVE, ""),
        (ARCHIVE, ARCHIVE),
        (ARCHIVE, "stl10_binary"),
        (f"stl10/{ARCHIVE}", ""),
        (f"archive/{ARCHIVE}", ""),
        ("stl10_binary.tgz", ""),
        ("STL10_binary.tar", ""),
    ],
)
def test_the_archive_itself_is_found(
    place: str, given: str, data: Path, cache: Path, tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(data / place, tiny)
    (data / "stl10_binary").mkdir(exist_ok=True)
    monkeypatch.setenv("BENCH_DATA", str(data / given))
    said: list[str] = []
    datasets.prepare(["stl10+"], say=said.append)
    assert said == [f"STL-10: taking the images out of {archive}"]
    assert {path.name for path in (cache / "stl10_binary").iterdir()} == set(tiny)
    assert {path.name for path in cache.iterdir()} == {"stl10_binary", "stl10.lock"}
    archive.unlink()
    datasets.prepare(["stl10+"], say=said.append)  # from the cache
    assert len(said) == 1


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("wrong", ["some files", "a wrong file", "a page as archive", "half an archive", "another archive"])
def test_a_place_with_something_else_is_passed_over_but_not_for_a_download(
    wrong: str, data: Path, cache: Path, tiny: dict[str, bytes]
) -> None:
    if wrong == "some files":
        fill(data, {"train_X.bin": tiny["train_X.bin"]})
    elif wrong == "a wrong file":
        fill(data, tiny | {"test_y.bin": b"77"})
    elif wrong == "a page as archive":
        fill(data, {ARCHIVE: b"<html>"})
    else:
        packed(data / ARCHIVE, tiny | ({"test_X.bin": b"x"} if wrong == "another archive" else {}))
        os.truncate(data / ARCHIVE, (data / ARCHIVE).stat().st_size // (1 if wrong == "another archive" else 2))
    with pytest.raises(datasets.DataError, match=r"STL-10 (in|file)") as caught:
        datasets.prepare(["stl10+"], say=lambda _: None)
    assert "\n" not in str(caught.value) and "server" not in str(caught.value)
    assert not list(cache.rglob("*.bin")) and not list(cache.rglob("*.part"))
    fill(data / "stl10_binary", tiny)
    datasets.prepare(["stl10+"])


@pytest.mark.usefixtures("no_network")
def test_what_is_wrong_in_the_users_folder_does_not_matter_where_the_cache_has_it(
    data: Path, cache: Path, tiny: dict[str, bytes]
) -> None:
    fill(data, {"train_X.bin": b"x"})
    fill(cache / "stl10_binary", tiny)
    datasets.prepare(["stl10+"])


@pytest.mark.usefixtures("no_network")
def test_a_cache_with_some_files_is_filled_again(data: Path, cache: Path, tiny: dict[str, bytes]) -> None:
    fill(cache / "stl10_binary", {"train_X.bin": tiny["train_X.bin"], "test_X.bin": b"x"})
    assert stl10.find() is None
    packed(data / ARCHIVE, tiny)
    datasets.prepare(["stl10+"])
    assert stl10.find() == {name: cache / "stl10_binary" / name for name in tiny}


@pytest.mark.usefixtures("no_network")
def test_the_users_folder_is_only_read(data: Path, tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is opened there, is opened for reading."""
    packed(data / ARCHIVE, tiny)
    written: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in ("os.mkdir", "os.remove", "os.rename")) and str(arguments[0]).startswith(str(data)):
            written.append(str(arguments[0]))

    sys.addaudithook(lambda event, arguments: watch(event, arguments) if watching else None)
    watching = [True]
    datasets.prepare(["stl10+"])
    watching.clear()
    assert written == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
@pytest.mark.usefixtures("no_network")
def test_an_archive_that_may_not_be_read_is_said_to_be_so(data: Path, tiny: dict[str, bytes]) -> None:
    packed(data / ARCHIVE, tiny).chmod(0)
    with pytest.raises(datasets.DataError, match=r"the archive cannot be read \(Permission denied\)"):
        datasets.prepare(["stl10+"])
