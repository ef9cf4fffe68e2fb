"""A measurement in a process of its own: what comes back, and what is said when nothing does."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest

from bench.errors import BenchError, Stopped
from bench.measure.isolated import isolated
from datasets import DataError
from leaderboard.errors import one_line

DEEDS = """
from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from bench.errors import BenchError
from datasets import DataError


@dataclasses.dataclass
class Pair:
    path: Path
    numbers: tuple[float, ...]


def same(pair: Pair, names: list[str]) -> Pair:
    assert isinstance(pair.path, Path) and isinstance(pair.numbers, tuple)
    print("what a model prints", names)
    os.write(1, b"is no answer\\n")
    return pair


def process() -> int:
    return os.getpid()


def read() -> str:
    return sys.stdin.read() + "nothing"


def asks() -> int:
    return int(input("how many? "))


def wrong() -> str:
    return "no pair"


def unsayable() -> object:
    return object()


def refuses() -> int:
    raise BenchError("say it otherwise")


def lacks_data() -> int:
    raise DataError("no data there")


def fails() -> int:
    raise ValueError("two\\nlines")


def exits() -> int:
    sys.exit(3)


def is_interrupted() -> int:
    raise KeyboardInterrupt


def leaves() -> int:
    os._exit(7)


def crashes() -> int:
    print("last words", file=sys.stderr)
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def sleeps(path: str) -> int:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)
"""


@dataclass
class Pair:
    """As in DEEDS."""

    path: str
    numbers: list[float]


@pytest.fixture(autouse=True)
def _deeds(tmp_path, monkeypatch):
    (tmp_path / "deeds.py").write_text(DEEDS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_what_is_returned_comes_back_and_what_is_printed_does_not(tmp_path):
    asked = Pair(str(tmp_path), [0.1, 1e-300, 3.0])
    assert isolated(Pair, "a test", "deeds:same", pair=asked, names=["a", "é"]) == asked
    assert isolated(str, "a test", "deeds:read") == "nothing"


def test_every_call_has_a_process_of_its_own():
    assert len({os.getpid(), isolated(int, "a test", "deeds:process"), isolated(int, "a test", "deeds:process")}) == 3


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("refuses", "a test failed: say it otherwise"),
        ("fails", "a test failed: ValueError: two lines"),
        ("exits", "a test failed: SystemExit: 3"),
        ("asks", "a test failed: EOFError"),
        ("is_interrupted", "a test failed: KeyboardInterrupt"),
        ("leaves", "a test failed: its process ended itself with exit code 7"),
        ("crashes", "a test failed: its process was ended by SIGSEGV: last words"),
        ("is_not_there", "a test failed: AttributeError: module 'deeds' has no attribute 'is_not_there'"),
        ("unsayable", "a test failed: PydanticSerializationError"),
    ],
)
def test_a_failure_is_one_line(deed, said):
    with pytest.raises(BenchError) as caught:
        isolated(int, "a test", f"deeds:{deed}")
    assert str(caught.value) == one_line(caught.value) and str(caught.value).startswith(said)


def test_data_that_are_not_there_are_no_fault_of_the_model():
    with pytest.raises(DataError, match=r"^no data there$"):
        isolated(int, "a test", "deeds:lacks_data")


def test_an_answer_of_another_kind_is_a_failure():
    with pytest.raises(BenchError, match="a test failed"):
        isolated(Pair, "a test", "deeds:wrong")


def wait_for(path):
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    return int(path.read_text())


def is_gone(process):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False).stdout
        if state.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="a system without this signal")
def test_a_stop_ends_the_process_too(tmp_path):
    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    found = []

    def then():
        found.append(wait_for(tmp_path / "process"))
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=then)
    thread.start()
    try:
        with pytest.raises(Stopped):
            isolated(int, "a test", "deeds:sleeps", path=str(tmp_path / "process"))
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join()
    assert is_gone(found[0])


def test_a_killed_parent_leaves_no_process(tmp_path):
    code = "import sys; from bench.measure.isolated import isolated; isolated(int, 'a test', 'deeds:sleeps', path=sys.argv[1])"
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "process")])
    child = wait_for(tmp_path / "process")
    parent.kill()
    parent.wait()
    assert is_gone(child)
