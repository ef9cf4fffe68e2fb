"""`make help` names every target, plain `make` starts nothing, and what `make quicktest` runs exists."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


def make(*words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    return subprocess.run(["make", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout


def test_help_names_every_target_and_is_what_plain_make_does():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    listed = [line.split()[1] for line in make("help").splitlines() if line.startswith("make ")]
    assert sorted(listed) == sorted(phony.split())
    assert make() == make("help")


def test_what_quicktest_runs_exists():
    (call,) = (line for line in make("-n", "quicktest").splitlines() if "bin/pytest" in line)
    named = re.findall(r"tests/\S+", call)
    assert len(named) > 20 and all((ROOT / name).exists() for name in named)


def test_the_lock_of_an_environment_has_the_extra_that_trains():
    (lock,) = (line for line in MAKEFILE.splitlines() if "pip compile" in line)
    assert {"train", "dev"} <= set(re.findall(r"--extra (\w+)", lock))
