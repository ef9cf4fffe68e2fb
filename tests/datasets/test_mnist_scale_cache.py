"""The cache of realizations: damage is seen and mended, builders wait for one another, a full disk is one line."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import datasets
from datasets import hashes, idx, mnist_scale_cache, paths

LOAD = "import datasets; print(datasets.load('mnist-scale-28', 0, 'validation')[0].shape)"


def damage(path: Path, kind: str) -> None:
    if kind == "emptied":
        path.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif kind == "one bit flipped":
        with path.open("r+b") as file:
            file.seek(1_000_000)  # inside the training images
            byte = file.read(1)
            file.seek(1_000_000)
            file.write(bytes([byte[0] ^ 1]))
    else:
        with np.load(path) as stored:
            arrays = dict(stored)
        if kind == "one label changed":
            arrays["train_labels"][0] ^= 1
        elif kind == "another realization":
            arrays["train_images"] = arrays["train_images"][::-1]
        elif kind == "labels missing":
            del arrays["train_labels"]
        elif kind == "another shape":
            arrays["train_images"] = arrays["train_images"].reshape(-1, 784)
        else:
            arrays["train_images"] = np.array([{"pickled": True}], dtype=object)
        np.savez(path, **arrays)


KINDS = ["emptied", "truncated", "one bit flipped", "one label changed", "another realization", "labels missing"]


@pytest.mark.parametrize("kind", [*KINDS, "another shape", "pickled"])
def test_damage_is_seen(one_realization: Path, kind: str) -> None:
    damage(one_realization, kind)
    with pytest.raises(datasets.DataError) as caught:
        mnist_scale_cache._read(one_realization, 0, "train", 50_000)
    assert str(one_realization) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["truncated", "one label changed"])
def test_a_damaged_file_is_named_and_replaced(
    one_realization: Path, built: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(realizations: list[int], test_size: int) -> None:  # building itself is tested below
        assert (realizations, test_size) == ([0], 50_000)
        shutil.copyfile(built / one_realization.name, one_realization)

    monkeypatch.setattr(mnist_scale_cache, "build_in_processes", build)
    damage(one_realization, kind)
    images, labels = datasets.load("mnist-scale-28", 0, "train")
    printed = capsys.readouterr().out
    assert f"cache file {one_realization}" in printed and "building it again" in printed
    found = hashes.sha256(images.numpy()), hashes.sha256(labels.numpy().astype(np.uint8))
    assert found == hashes.expected(0, "train", 50_000)
    datasets.load("mnist-scale-28", 0, "train")
    assert capsys.readouterr().out == ""


def test_a_damaged_split_does_not_hide_behind_a_whole_one(one_realization: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(one_realization, "one label changed")
    assert len(datasets.load("mnist-scale-28", 0, "validation")[0]) == 2_000  # only what is loaded is checked
    assert capsys.readouterr().out == ""
    assert not mnist_scale_cache._is_there(0, 50_000, whole=True)


def test_nothing_is_built_twice(published: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in published.glob("*.npz")}
    lines: list[str] = []
    datasets.prepare(datasets.MNIST_SCALE, say=lines.append)
    assert lines == []
    assert {path.name: path.stat().st_mtime_ns for path in published.glob("*.npz")} == before


def test_two_processes_with_one_damaged_file_build_it_once(one_realization: Path) -> None:
    os.truncate(one_realization, 1_000_000)
    call = [sys.executable, "-c", LOAD]
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert all("torch.Size([2000, 1, 28, 28])" in out for out, _ in answers)
    assert sum("building realization(s) 0" in out for out, _ in answers) == 1
    assert sum(f"cache file {one_realization} is damaged" in out for out, _ in answers) >= 1
    left = {path.name for path in one_realization.parent.iterdir()}
    assert left - {"mnist-scale.lock"} == {one_realization.name, "mnist.npz"}
    assert mnist_scale_cache._is_there(0, 50_000, whole=True)


def test_one_who_waits_says_so(one_realization: Path, built: Path) -> None:
    saved = one_realization.rename(one_realization.with_name("saved"))
    lock = FileLock(one_realization.parent / "mnist-scale.lock")
    lock.acquire()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        saved.rename(one_realization)
        lock.release()

    datasets.prepare(datasets.MNIST_SCALE, realizations=[0], say=say)
    assert lines == [f"MNIST-scale: waiting for another process that is building in {one_realization.parent}"]


def test_the_callers_folder_and_main_program_do_not_matter(cache: Path, tmp_path: Path) -> None:
    """A script without a main guard, a relative cache folder, and a folder named datasets where it is started.

    The cache lacks raw MNIST: that the building process says so, and where, shows that it is the right one.
    """
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("raise SystemExit('the wrong datasets')")
    script = tmp_path / "scripts" / "my_experiment.py"
    script.parent.mkdir()
    script.write_text(
        "from datasets import DataError, mnist_scale_cache\nprint('started')\n"
        "try: mnist_scale_cache.build_in_processes([0, 1], 50_000)\nexcept DataError as error: print('DataError:', error)\n"
    )
    variables = {"PYTHONPATH": str(Path(datasets.__file__).parents[1]), "BENCH_CACHE": cache.name}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("started") == 1
    assert f"{cache / 'mnist.npz'} cannot be used (FileNotFoundError" in done.stdout.splitlines()[-1]


def test_a_full_disk_is_one_line(raw_file: Path, cache: Path, tmp_path: Path) -> None:
    """No file may grow beyond 40 MB: the operating system refuses the rest of raw MNIST, as a full disk does."""
    with np.load(raw_file) as stored:
        parts = [stored[name][half] for half in (slice(60_000), slice(60_000, None)) for name in ("images", "labels")]
    for (name, shape), values in zip(idx.SHAPES.items(), parts, strict=True):
        header = bytes([0, 0, 8, len(shape)]) + b"".join(extent.to_bytes(4, "big") for extent in shape)
        (tmp_path / name).write_bytes(header + values.tobytes())
    prepare = "import datasets\ntry: datasets.prepare(datasets.MNIST_SCALE)\n"
    code = prepare + "except datasets.DataError as error: print('DataError:', error)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"BENCH_DATA": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000_000, 40_000_000)),
    )
    message = done.stdout.splitlines()[-1]
    assert message.startswith(f"DataError: cache folder {cache} cannot be written: ") and "BENCH_CACHE" in message
    assert "Traceback" not in done.stdout + done.stderr
    assert {path.name for path in cache.iterdir()} <= {"mnist-scale.lock"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "x.npz"
    paths.save_arrays(file, {"x": np.arange(3)})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(datasets.DataError, match="No space left on device; free space or set BENCH_CACHE"):
        paths.save_arrays(file, {"x": np.arange(4)})
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.npz"]
    with np.load(file) as stored:
        assert stored["x"].tolist() == [0, 1, 2]


def test_what_a_building_process_says_last_is_passed_on(cache: Path) -> None:
    with pytest.raises(datasets.DataError) as caught:  # there is no raw MNIST in the empty cache
        mnist_scale_cache.build_in_processes([0, 1, 2], 50_000)
    assert "building MNIST-scale failed (exit code 1)" in str(caught.value) and str(cache / "mnist.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unwritable_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(datasets.DataError) as caught:
        datasets.load("mnist-scale-28")
    assert str(tmp_path / "file" / "cache") in str(caught.value) and "BENCH_CACHE" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "inside"), [("BENCH_CACHE", ""), ("XDG_CACHE_HOME", "equiscale"), ("HOME", ".cache/equiscale")]
)
def test_where_the_cache_lies(variable: str, inside: str, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "somewhere"
    for other in ("BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, str(folder))
    (folder / inside).mkdir(parents=True)
    shutil.copyfile(built / "mnist-scale_10k-2k-50k_0.npz", folder / inside / "mnist-scale_10k-2k-50k_0.npz")
    assert len(datasets.load("mnist-scale-28", 0, "validation")[0]) == 2_000
