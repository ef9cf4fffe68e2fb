"""`bench --version`: which code, in which Python; whatever torch is like."""

import importlib.metadata
import platform
import subprocess
import sys

import pytest
from command_line import ROOT, bench, call

from bench.cli import version
from bench.machine import source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_version_commit_python_and_torch(capsys, monkeypatch):
    monkeypatch.setattr(source, "_by_git", lambda root: (COMMIT, True))
    code, said, errors = call(capsys, "--version")
    assert (code, errors) == (0, [])
    assert said.startswith(
        f"equiscale {source.version()}, commit {COMMIT} and changes to it; Python {platform.python_version()} ("
    )
    assert said.endswith(f"; torch {importlib.metadata.version('torch')}\n")
    monkeypatch.setattr(source, "_by_git", lambda root: (COMMIT, False))
    assert f"commit {COMMIT}; Python" in version.version_line()


def test_what_is_not_known_is_said(monkeypatch):
    monkeypatch.setattr(source, "commit", lambda: (None, None))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: 1 / 0)
    line = version.version_line()
    assert ", commit unknown; Python " in line
    assert line.endswith("; no torch")


@pytest.mark.parametrize("words", [("--version",), ("--version", "list", "tasks")])
def test_a_broken_torch_is_not_imported(tmp_path, words):
    (tmp_path / "torch.py").write_text("raise SystemExit('imported')\n")
    done = bench(tmp_path, *words, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert done.stdout.startswith(f"equiscale {source.version()}, commit ")


@pytest.mark.parametrize("command", ["bench", "equiscale"])
def test_both_commands_answer(command):
    code = f"import sys; sys.argv[:] = [{command!r}, '--version']; import equiscale; equiscale.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("equiscale ")
