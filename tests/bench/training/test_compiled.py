"""torch.compile where the user has no name, and figures where nothing can be written at home."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.training.step import CACHE, compiled

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set in the environment")])
@pytest.mark.parametrize("given", [None, "/mine"])
def test_a_user_without_a_name_has_a_folder_for_what_is_compiled(
    error: Exception, given: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(torch, "compile", lambda network, options: network)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(CACHE, given or "")
    if given is None:
        monkeypatch.delenv(CACHE)
    network = nn.Identity()
    assert compiled(network) is network
    assert os.environ[CACHE] == (given or f"{tmp_path}/torchinductor_{os.getuid()}")


def test_figures_without_a_home_are_drawn_without_a_word() -> None:
    """matplotlib looks for a folder for its fonts when it is imported."""
    code = (
        "from leaderboard.board.charts.headless import headless\n"
        "with headless():\n"
        "    import matplotlib; print(matplotlib.get_cachedir())\n"
    )
    environment = {"HOME": "/dev/null/home", "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "" and "matplotlib-" in done.stdout
