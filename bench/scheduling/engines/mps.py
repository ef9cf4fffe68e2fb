"""CUDA MPS: several processes that share a GPU compute at the same time, and not in turns, when NVIDIA's daemon stands between.

Found by its binary, nvidia-cuda-mps-control, on the PATH; started for one command, in folders of its own, and ended with it.
The card's settings stay as they are. Only processes started with its environment go through it; the command's own process,
which asks for names and sizes but never computes, has no context on the card.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leaderboard.errors import one_line

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
SECONDS_TO_ANSWER = 20.0
# A context on the first card, by the driver alone: where the daemon cannot serve, this fails, as every run would.
PROBE = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context = ctypes.c_void_p()
sys.exit(cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
"""


@contextmanager
def shared_gpu(say: Callable[[str], None] = print) -> Iterator[bool]:
    """While in it, processes started from here share GPUs through MPS; whether they do. What cannot be is said in one line.

    A daemon that somebody else started (CUDA_MPS_PIPE_DIRECTORY is set) is used and left alone.
    """
    if os.environ.get(PIPES):
        say(f"CUDA MPS: the daemon of {PIPES} is used, and left running")
        yield True
        return
    control = shutil.which(CONTROL)
    if control is None:
        yield False
        return
    # Not below TMPDIR: the path of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp" if Path("/tmp").is_dir() else None) as folder:
        added = {PIPES: folder, LOGS: folder}
        if problem := _start(control, added):
            say(f"CUDA MPS cannot be used ({problem}); runs share the GPU in turns")
            yield False
            return
        say("CUDA MPS: started; runs on one GPU compute at the same time")
        os.environ.update(added)
        try:
            yield True
        finally:
            for name in added:
                os.environ.pop(name, None)
            _quit(control, added)


def _start(control: str, added: dict[str, str]) -> str:
    """Start the daemon and try it; what is wrong, else nothing."""
    if problem := _call([control, "-d"], added):
        return problem
    if problem := _call([sys.executable, "-c", PROBE], added):
        _quit(control, added)
        return f"no context on the card through it: {problem}"
    return ""


def _quit(control: str, added: dict[str, str]) -> None:
    _call([control], added, said=b"quit\n")


def _call(call: list[str], added: dict[str, str], said: bytes = b"") -> str:
    """Run it to its end; what is wrong, else nothing. A file takes its output: a daemon would keep a pipe open."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        try:
            code = subprocess.run(
                call, input=said, stdout=output, stderr=output, env=os.environ | added, timeout=SECONDS_TO_ANSWER, check=False
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            return one_line(error)
        output.seek(0)
        lines = [line for line in output.read().splitlines() if line.strip()]
    return one_line(f"exit code {code}" + (f": {lines[-1]}" if lines else "")) if code else ""
