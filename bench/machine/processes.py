"""Processes of the suite's own beside the one that the user started: how they start, hear, say and end.

Parent and process exchange lines of JSON. The end of its input ends the process, also when the parent was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from subprocess import PIPE
from typing import IO, BinaryIO

from bench.machine.source import ROOT


def python(module: str, *words: str) -> list[str]:
    """The command line of a module, with this Python. -P: a folder named datasets where the user stands is not ours."""
    return [sys.executable, "-P", "-m", module, *words]


def start(
    call: Sequence[str], *, stderr: int | IO[bytes] | None, stdin: int = PIPE, stdout: int = PIPE, **variables: str
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl-C comes to this one alone. `variables`: more of its environment.

    Raises OSError.
    """
    environment = child_environment() | variables
    return subprocess.Popen(call, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, start_new_session=True)


def child_environment() -> dict[str, str]:
    """For a process of this suite's that is started from anywhere: it finds these packages, and then what this one would."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def take_streams() -> tuple[BinaryIO, BinaryIO]:
    """In such a process: orders and answers, for itself alone. What a model prints is no answer, and what it asks gets none."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return orders, answers


def ended_by(code: int) -> str | None:
    """The name of the signal that ended a process with this exit code; None: it ended itself."""
    if code >= 0:
        return None
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
