"""The cache's and the user's folder under every environment: no home, no rights, files in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import datasets
from datasets import paths

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("BENCH_CACHE", "BENCH_DATA", "XDG_CACHE_HOME", "HOME")
NOBODY = ["unshare", "-U", "--map-user=12345", "--map-group=12345", "--"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def homeless(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user number without an entry in the list of users."""
    import pwd

    def nobody(*_: object) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(pwd, "getpwuid", nobody)


def refusal(folder: object) -> str:
    with pytest.raises(datasets.DataError) as caught:
        folder()  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"XDG_CACHE_HOME": ""},
        {"XDG_CACHE_HOME": "relative"},
        {"XDG_CACHE_HOME": "~/cache"},
        {"BENCH_CACHE": ""},
        {"BENCH_CACHE": "~"},
        {"BENCH_CACHE": "~/x"},
        {"BENCH_CACHE": "~nobody-of-this-name/x"},
    ],
)
def test_without_a_home_one_line_says_to_set_the_cache(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    said = refusal(paths.cache_folder)
    assert "HOME is not set" in said and "set BENCH_CACHE to a folder's full path" in said
    assert refusal(lambda: datasets.load("mnist-scale-28")) == said
    assert refusal(lambda: datasets.prepare(["stl10+"])) == said


@pytest.mark.usefixtures("homeless")
def test_without_a_home_a_full_path_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.cache_folder() == tmp_path / "xdg" / "equiscale"
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "mine"))
    assert paths.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("BENCH_DATA", "~/data")
    assert "set BENCH_DATA to a folder's full path" in refusal(paths.user_folder)


@pytest.mark.usefixtures("bare")
def test_a_relative_xdg_folder_is_ignored_and_other_relative_ones_are_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert paths.cache_folder() == tmp_path / "home" / ".cache" / "equiscale"
    monkeypatch.setenv("BENCH_CACHE", "mine")
    assert paths.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("BENCH_DATA", "data")
    assert paths.user_folder() == tmp_path / "data"
    monkeypatch.setenv("BENCH_DATA", "~/data")
    assert paths.user_folder() == tmp_path / "home" / "data"


@pytest.mark.usefixtures("bare")
def test_a_cache_under_the_suites_first_name_is_used_until_there_is_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "scalebench").mkdir()
    assert paths.cache_folder() == tmp_path / "scalebench"
    (tmp_path / "equiscale").mkdir()
    assert paths.cache_folder() == tmp_path / "equiscale"


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PACKED", tmp_path / "none")
    monkeypatch.setenv("BENCH_DATA", "")
    assert paths.user_folder() is None


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("variable", ["BENCH_CACHE", "BENCH_DATA"])
def test_a_working_directory_that_is_no_more(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv(variable, "x")
    said = refusal(paths.cache_folder if variable == "BENCH_CACHE" else paths.user_folder)
    assert said == f"x: No such file or directory; set {variable} to a folder's full path"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file", "is a file"),
        ("dangling link", "is a link to .*nowhere, where there is none"),
        ("too long", "File name too long"),
    ],
)
def test_a_cache_that_can_be_none(kind: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / ("x" * 300 if kind == "too long" else "cache")
    if kind == "file":
        place.touch()
    elif kind == "dangling link":
        place.symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("BENCH_CACHE", str(place))
    with pytest.raises(datasets.DataError, match=f"^cache folder .* {said}|cannot be written: {said}") as caught:
        datasets.load("mnist-scale-28")
    assert "set BENCH_CACHE to another folder" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o600, "Permission denied"), (0o500, "cannot be written: Permission denied"), (0o000, "")],
)
def test_a_cache_without_rights_is_one_line_before_any_work(mode: int, said: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=mode)
    code = (
        "import datasets, sys\n"
        "for task in ('mnist-scale-28', 'stl10+'):\n"
        "    try: datasets.prepare([task])\n"
        "    except datasets.DataError as error: print('DataError', error)\n"
    )
    environment = {"BENCH_CACHE": str(cache), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    environment |= {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    for folder in reversed([tmp_path, *tmp_path.parents]):
        if folder.owner() == Path.home().owner() and folder.is_relative_to(tmp_path.parents[1]):
            folder.chmod(0o755)
    call = [sys.executable, "-c", code]
    if os.getuid() == 0:  # who may do everything
        call = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *call]
        os.chown(cache, 12345, 12345)
    if subprocess.run([*call[:-1], "import datasets, numpy"], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("another user may not use this Python")
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    refusals = [line for line in done.stdout.splitlines() if line.startswith("DataError")]
    assert len(refusals) == 2 and "Traceback" not in done.stdout + done.stderr
    assert said in refusals[0] and "BENCH_CACHE" in refusals[0]
    assert "trying" not in done.stdout  # nothing was fetched for nothing
    cache.chmod(0o700)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0, 0o666)])
def test_the_users_umask_decides_who_else_may_read(umask: int, mode: int, tmp_path: Path) -> None:
    import numpy as np

    before = os.umask(umask)
    try:
        paths.save_arrays(tmp_path / "x.npz", {"x": np.arange(3)})
    finally:
        os.umask(before)
    assert (tmp_path / "x.npz").stat().st_mode & 0o777 == mode
