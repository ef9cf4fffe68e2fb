"""The house stays as it is drawn: which package imports which, and the committed board is what the records give."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.board.files import check_board
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing
from leaderboard.timings.markdown import timings_markdown

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"bench", "models", "datasets", "leaderboard"}
MAY_IMPORT = {"bench": PACKAGES, "models": {"models"}, "datasets": {"datasets"}, "leaderboard": {"leaderboard"}}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_arrows_run_down_only(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert set(imported(file)) & PACKAGES <= MAY_IMPORT[package], file
        if package == "leaderboard":
            assert "torch" not in set(imported(file)), file


@pytest.mark.parametrize("package", ["models", "datasets", "leaderboard", "bench.cli.main"])
def test_packages_import_without_torch(package):
    code = f"import sys; sys.modules['torch'] = None; import {package}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_committed_board_is_what_the_committed_records_give():
    assert check_board(ROOT / "records", ROOT / "LEADERBOARD.md", ROOT / "README.md", ROOT / "docs" / "board")


def test_committed_timings_are_what_the_committed_records_give():
    timings, unreadable = read_measurements(ROOT / "records", Timing)
    assert not unreadable
    assert timings_markdown(timings) == (ROOT / "docs" / "timings.md").read_text(encoding="utf-8")
