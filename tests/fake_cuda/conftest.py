"""Programs under the pretended CUDA runtime, which is built once for this Python's torch; without a compiler all is skipped."""

import os
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from build import CannotBuild, built, environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROW = struct.Struct("32s8q")  # of the table of counts: a name, and a number for each of eight devices (runtime/counters.cpp)
SECONDS = 240


@pytest.fixture(scope="session")
def library():
    """The pretended runtime. Skips the test where it cannot be built."""
    try:
        return built()
    except CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture
def run(library, tmp_path):
    """run("-m", "bench", ..., devices=2): Python with these arguments under the pretended runtime, in the test's folder.

    Returns the finished process; `counts` of it is {process id: {quantity: [number on device 0, ...]}} of it and its children.
    """

    def start(*arguments, devices=1, memory=None, **variables):
        counters = tmp_path / "counters"
        counters.mkdir(exist_ok=True)
        for old in counters.iterdir():
            old.unlink()
        paths = os.pathsep.join(map(str, (ROOT, HERE, ROOT / "tests" / "bench")))
        env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        env |= environment(library, devices=devices, memory=memory, counters=counters) | variables
        call = [sys.executable, *map(str, arguments)]
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
        done.counts = {int(path.name): read_counts(path) for path in counters.iterdir()}
        return done

    return start


@pytest.fixture
def bench(run):
    """bench("run --model cnn", devices=2): the command line, as one types it."""
    return lambda line, **options: run("-m", "bench", *shlex.split(line), **options)


def read_counts(path):
    """{quantity: [number on each device]} of one process."""
    return {name.rstrip(b"\0").decode(): numbers for name, *numbers in ROW.iter_unpack(path.read_bytes())}
