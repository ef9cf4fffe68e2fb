"""The version and commit of the suite's own files, in every folder and environment that a checkout may find itself in."""

import email
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from bench.machine import source

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="no git here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No earlier answer, and nobody's settings."""
    source._by_git.cache_clear()
    for name in [name for name in os.environ if name.startswith("GIT_") or name == source.COMMIT_VARIABLE]:
        monkeypatch.delenv(name)
    yield
    source._by_git.cache_clear()


def git(folder, *arguments):
    call = [GIT, "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(folder), *arguments]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder, text="1"):
    """A repository with one commit. Returns the commit."""
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text(text)
    git(folder, "add", "a.py")
    git(folder, "commit", "-q", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def head(root):
    return repository(root)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """stand_in(script): for one test, this is git."""

    def make(script):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "git").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (tmp_path / "bin" / "git").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    return make


@needs_git
def test_a_checkout(root, head):
    assert source.commit(root) == (head, False)


@needs_git
def test_changes(root, head):
    (root / "a.py").write_text("2")
    (root / "untracked.py").write_text("")
    assert source.commit(root) == (head, True)


@needs_git
def test_git_is_asked_once_per_process(root, head, monkeypatch):
    assert source.commit(root) == (head, False)
    monkeypatch.setenv("PATH", "")
    (root / "a.py").write_text("2")
    assert source.commit(root) == (head, False)


@needs_git
def test_a_worktree_whose_git_is_a_file(root, head, tmp_path):
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert (tmp_path / "tree" / ".git").is_file()
    assert source.commit(tmp_path / "tree") == (head, False)


@needs_git
@pytest.mark.parametrize("link", [False, True])
def test_variables_that_name_another_repository_are_not_followed(root, head, tmp_path, monkeypatch, link):
    repository(tmp_path / "other", "2")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    if link:
        (tmp_path / "link").symlink_to(root)
    assert source.commit(tmp_path / "link" if link else root) == (head, False)


@needs_git
def test_settings_that_name_another_work_tree_are_not_followed(root, head, tmp_path):
    repository(tmp_path / "other", "2")
    git(root, "config", "core.worktree", str(tmp_path / "other"))
    assert source.commit(root) == (None, None)


@needs_git
@pytest.mark.parametrize("inside", ["nothing", "an empty .git", "a damaged .git"])
def test_a_folder_inside_another_repository_has_not_its_commit(root, head, inside):
    folder = root / "unpacked"
    folder.mkdir()
    if inside == "an empty .git":
        (folder / ".git").mkdir()
    elif inside == "a damaged .git":
        (folder / ".git").write_text("gitdir: /nowhere\n")
    assert source.commit(folder) == (None, None)


@needs_git
def test_a_repository_without_a_commit(root):
    root.mkdir()
    git(root, "init", "-q")
    assert source.commit(root) == (None, None)


@needs_git
def test_a_folder_that_belongs_to_somebody_else(root, head, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    kept = source.os.environ.copy()
    monkeypatch.setattr(source, "_environment", lambda: kept)
    assert subprocess.run([GIT, "-C", str(root), "status"], capture_output=True, check=False).returncode == 128
    assert source.commit(root) == (None, None)
    monkeypatch.setenv(source.COMMIT_VARIABLE, COMMIT)
    assert source.commit(root) == (COMMIT, False)


def test_no_git(root, monkeypatch, tmp_path):
    (root / ".git").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    (root / source.COMMIT_FILE).write_text(COMMIT[::-1])
    assert source.commit(root) == (None, None)  # a file is for folders without .git: here it may be older than the files
    monkeypatch.setenv(source.COMMIT_VARIABLE, COMMIT + "-dirty")
    assert source.commit(root) == (COMMIT, True)


@pytest.mark.parametrize("script", ["exit 128", "exit 0", "echo nonsense", "printf '\\377\\n\\377'", "kill -9 $$"])
def test_a_git_that_is_of_no_use(root, stand_in, monkeypatch, script):
    (root / ".git").mkdir(parents=True)
    monkeypatch.chdir(root)
    stand_in(script)
    assert source.commit(root) == (None, None)


@pytest.mark.parametrize("script", ["exec sleep 20", "sleep 20 & wait", "trap '' TERM; sleep 20"])
def test_a_git_that_hangs(root, stand_in, monkeypatch, script):
    (root / ".git").mkdir(parents=True)
    stand_in(script)
    monkeypatch.setattr(source, "GIT_SECONDS", 0.2)
    began = time.monotonic()
    assert source.commit(root) == source.commit(root) == (None, None)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (COMMIT, (COMMIT, False)),
        (f"{COMMIT}-dirty\n", (COMMIT, True)),
        (COMMIT.upper(), (COMMIT, False)),
        (COMMIT[:39], (None, None)),
        (COMMIT + "0", (None, None)),
        (COMMIT + "-changed", (None, None)),
        ("v0.1.0", (None, None)),
        ("", (None, None)),
    ],
)
@pytest.mark.parametrize("place", ["variable", "file"])
def test_what_an_unpacked_folder_says(root, monkeypatch, place, text, expected):
    root.mkdir()
    if place == "file":
        (root / source.COMMIT_FILE).write_text(text)
    else:
        monkeypatch.setenv(source.COMMIT_VARIABLE, text)
    assert source.commit(root) == expected


def test_the_variable_comes_before_the_file_and_git_before_both(root, monkeypatch, tmp_path):
    root.mkdir()
    (root / source.COMMIT_FILE).write_text(COMMIT)
    monkeypatch.setenv(source.COMMIT_VARIABLE, COMMIT[::-1] + "-dirty")
    assert source.commit(root) == (COMMIT[::-1], True)
    if GIT is not None:
        head = repository(tmp_path / "checkout")
        (tmp_path / "checkout" / source.COMMIT_FILE).write_text(COMMIT)
        assert source.commit(tmp_path / "checkout") == (head, False)


@pytest.mark.parametrize("what", ["a folder", "not text"])
def test_a_commit_file_that_is_none(root, what):
    root.mkdir()
    path = root / source.COMMIT_FILE
    path.mkdir() if what == "a folder" else path.write_bytes(b"\xff" * 40)
    assert source.commit(root) == (None, None)


def not_installed(name):
    raise source.importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("pyproject", "version"),
    [
        ('[project]\nname = "equiscale"\nversion = "9.8"\n', "9.8"),
        ('[project]\nname = "another"\nversion = "9.8"\n', None),
        ('[project]\nname = "equiscale"\ndynamic = ["version"]\n', None),
        ("[project\n", None),
        ("project = 1\n", None),
        ("", None),
        (None, None),
    ],
)
def test_the_version_is_that_of_the_files_else_of_the_package_else_unknown(root, monkeypatch, pyproject, version, installed):
    root.mkdir()
    if pyproject is not None:
        (root / "pyproject.toml").write_text(pyproject)
    monkeypatch.setattr(source.importlib.metadata, "distribution", (lambda name: Of1()) if installed else not_installed)
    assert source.version(root) == (version or ("1.0" if installed else "unknown"))
    assert source.repository(root) == ("https://example.org/one" if installed else "")


class Of1:
    version, metadata = "1.0", email.message_from_string("Project-URL: Repository, https://example.org/one\n")


def test_the_metadata_beside_the_files_come_before_another_installation(tmp_path):
    for root, beside in ((tmp_path / "site" / "equiscale", tmp_path / "site"), (tmp_path / "pack", tmp_path / "pack")):
        (beside / "equiscale-7.6.dist-info").mkdir(parents=True)
        text = "Metadata-Version: 2.4\nName: equiscale\nVersion: 7.6\nProject-URL: Issues, a\nProject-URL: Repository, https://x.y\n"
        (beside / "equiscale-7.6.dist-info" / "METADATA").write_text(text)
        assert (source.version(root), source.repository(root)) == ("7.6", "https://x.y")


def test_the_address_of_the_repository_has_one_home():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert source.repository() == project["urls"]["Repository"]
    assert all(address.startswith("https://") for address in project["urls"].values())


def test_from_a_folder_of_files_without_git_or_installation(tmp_path):
    """Run as a rented machine runs it: PYTHONPATH, no metadata in sight, no git on PATH."""
    for package in ("bench", "leaderboard", "models"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    (tmp_path / "COMMIT").write_text(f"{COMMIT}-dirty\n")
    code = (
        "import importlib.metadata, sys\n"
        "def none(name): raise importlib.metadata.PackageNotFoundError(name)\n"
        "importlib.metadata.version = none\n"
        "import bench.machine.hardware\n"
        "print(bench.machine.hardware.__file__)\n"
        "print(bench.machine.hardware.describe_software().model_dump_json())\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    call = [sys.executable, "-P", "-c", code]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    place, said = done.stdout.splitlines()[-2:]
    assert Path(place).is_relative_to(tmp_path)
    assert f'"git_commit":"{COMMIT}","git_dirty":true' in said
    assert f'"scalebench":"{source.version(ROOT)}"' in said
