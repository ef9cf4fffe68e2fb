"""The suite as a wheel, built of a copy of its files, and environments to install it in."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "datasets", "leaderboard", "models")
UV = Path(sys.executable).with_name("uv")
NOT_REACHED = ("error sending request", "dns error", "connect", "timed out", "network", "offline")


def files(*where):
    """What git knows of these folders, and what is new there. Skips the test where git does not say."""
    call = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", *where]
    try:
        listed = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git does not list the files: no checkout")
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def copy_of_the_files(folder):
    """What a wheel is made of, elsewhere."""
    for name in files(*PACKAGES) + [name for name in files() if "/" not in name]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(folder, *targets, **variables):
    """Build them, all or `wheel`, `sdist`, in folder/dist with the hatchling of this environment. {suffix: file}"""
    what = [word for target in targets for word in ("-t", target)]
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BENCH_COMMIT")} | variables
    call = [sys.executable, "-P", "-m", "hatchling", "build", *what, "-d", "dist"]
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in (folder / "dist").iterdir()}


def uv(*words):
    """`uv pip WORDS`; skips the test where there is no uv, or no package index is reached."""
    if not UV.is_file():
        pytest.skip("no uv in this environment; `make env` has it")
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"UV_LINK_MODE": "copy"}  # tests write over files, which are to be no links to uv's own
    env |= {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "20", "UV_NO_PROGRESS": "1"}
    done = subprocess.run([str(UV), *map(str, words)], env=env, capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr.lower() for word in NOT_REACHED):
        pytest.skip(f"no package index is reached: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


class Environment:
    """A new environment with its own packages, and after them those of this one, the suite's editable one not among them."""

    def __init__(self, folder, *, others=True):
        self.folder, self.python = folder, folder / "bin" / "python"
        uv("venv", "--quiet", "--no-project", "--python", sys.executable, folder)
        (self.site,) = (folder / "lib").glob("python*/site-packages")
        if others:
            (self.site / "zz_this_one.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, *packages, deps=False):
        uv("pip", "install", "--quiet", "--python", self.python, *([] if deps else ["--no-deps"]), *packages)

    def uninstall(self, package):
        uv("pip", "uninstall", "--quiet", "--python", self.python, package)

    def run(self, folder, *words, **variables):
        """A program of the environment's, by its name, from a folder."""
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BENCH_COMMIT")} | variables
        call = [str(self.folder / "bin" / words[0]), *map(str, words[1:])]
        return subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
