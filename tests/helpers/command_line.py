"""The command line as a process of its own, and within the test's process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from bench.cli.main import app, main

ROOT = Path(__file__).resolve().parents[2]
RUN_TINY = ("run", "--protocol", "tiny.yaml", "--plugin", "my_net.py", "--device", "cpu")


def verbs():
    """The names of all verbs that `bench --help` shows."""
    return [name for name, command in get_command(app).commands.items() if not command.hidden]


def bench(folder, *arguments, **environment):
    call = [sys.executable, "-m", "bench", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def call(capsys, *arguments):
    """Exit code, output, lines of error output."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in arguments])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err.splitlines()
