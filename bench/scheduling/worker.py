"""The near end of a process that trains: starting it, giving it jobs, hearing what it says, and noticing its death."""

from __future__ import annotations

import contextlib
import json
import platform
import queue
import subprocess
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.machine.processes import ended_by, python, start
from bench.plan import Run
from bench.training.state.checkpoint import FOLDER, Checkpoint
from bench.training.state.weights import weights_path

NOT_STARTED = "no process can be started to train in: {}; end other processes, or see ulimit -a"
LAST_WORDS = 12  # lines of its error output that are kept


@dataclass(frozen=True)
class Job:
    """A run as a process can be told of it, with the plugin that registers its model and no other.

    `threads`: 0 leaves torch's own number; `jobs`: how many runs go side by side.
    """

    run: dict[str, Any]
    run_id: str
    device: str
    threads: int = 0
    plugin: str = ""
    jobs: int = 1


class Worker:
    """One process after another. What they say comes out of `receive`:

    {"epoch", "step"}, {"say"}, {"stopped"}, {"record"}, {"failed", "message", "last_words"}, {"died", "last_words"}.

    A process that ran code that is not the suite's may have changed anything in itself (torch's defaults, a layer's
    initialiser), and one whose run failed may be broken (its CUDA context): the next run gets a new one.
    """

    where = ""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._start()

    def _start(self) -> None:
        """Raises BenchError: the system starts no more processes or threads."""
        self._used = False
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        last_words: deque[str] = deque(maxlen=LAST_WORDS)
        try:
            self._process = start(python("bench.scheduling.child"), stderr=subprocess.PIPE)
        except OSError as error:
            raise BenchError(NOT_STARTED.format(error.strerror or error)) from error
        errors = threading.Thread(target=_read_errors, args=(self._process, last_words), daemon=True)
        answers = threading.Thread(target=_read_answers, args=(self._process, errors, last_words, self._said), daemon=True)
        try:
            errors.start()
            answers.start()
        except RuntimeError as error:
            self._end()
            raise BenchError(NOT_STARTED.format(error)) from error

    def begin(self, job: Job) -> None:
        """Start a run; the process must be idle."""
        if self._used:
            self._end()
            try:
                self._start()
            except BenchError as error:
                self._said.put({"died": str(error)})
                return
        self._used = bool(job.run["source"])
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died: `receive` says so
            self._process.stdin.write(json.dumps({**vars(job), "results": str(self.results)}).encode() + b"\n")
            self._process.stdin.flush()

    def resume(self, run: Run, job: Job) -> None:
        """Start the run from its state in the results folder, if there is one; the process must be idle."""
        self.begin(job)

    def receive(self) -> list[dict[str, Any]]:
        """What it said since last asked."""
        said = []
        with contextlib.suppress(queue.Empty):
            while True:
                said.append(self._said.get_nowait())
        self._used = self._used or any("failed" in one or one.get("record", {}).get("status") == "failed" for one in said)
        return said

    def ready(self) -> bool:
        """Whether it can begin a run now."""
        return True

    def stop(self) -> None:
        """Ask it to save its state after the step in hand and to end."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def close(self) -> None:
        """End the process now."""
        self._end()

    def _end(self) -> None:
        self.stop()
        self._process.kill()
        self._process.wait()


def _read_answers(
    process: subprocess.Popen[bytes], errors: threading.Thread, last_words: deque[str], said: queue.Queue[dict[str, Any]]
) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # half a line of one that was killed
                said.put(json.loads(line))
    code = process.wait()
    errors.join(timeout=5)
    said.put({"died": _how(code), "last_words": list(last_words)})


def _read_errors(process: subprocess.Popen[bytes], last_words: deque[str]) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            last_words.append(line.decode("utf-8", "replace").rstrip())


def _how(code: int) -> str:
    name = ended_by(code)
    if name is None:
        return f"its process ended with exit code {code}"
    return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class FarWorker(Worker):
    """A worker on another machine: plugins, checkpoints and weights come and go by message, its folder is its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="scalebench-")
        super().__init__(Path(self._folder.name))
        self._checkpoint: Checkpoint | None = None
        self._sent: tuple[int, int] | None = None

    def address(self) -> str:
        """The name of this machine."""
        return platform.node()

    def begin_from(self, job: Job, files: dict[str, bytes], state: bytes | None) -> None:
        """As `begin`, with the plugin's files, by their names in its folder, and the newest checkpoint's content."""
        folder = Path(tempfile.mkdtemp(prefix="plugin-", dir=self._folder.name))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._checkpoint = Checkpoint(self.results / FOLDER, job.run_id)
        self._checkpoint.remove()
        if state is not None:
            self._checkpoint.put(state)
        self._sent = self._look()
        self.begin(replace(job, plugin=str(folder / Path(job.plugin).name) if job.plugin else ""))

    def receive(self) -> list[dict[str, Any]]:
        """As a worker's, {"state": bytes} whenever there is a new checkpoint, and {"weights": bytes} before the record."""
        said = super().receive()
        if said and "record" in said[-1] and (kept := self._weights(said[-1]["record"]["run_id"])) is not None:
            said.insert(-1, {"weights": kept})
        if self._checkpoint is not None and (now := self._look()) is not None and now != self._sent:
            self._sent, state = now, self._checkpoint.content()
            return [{"state": state}, *said] if state is not None else said
        return said

    def close(self) -> None:
        """End the process now and remove its folder."""
        super().close()
        self._folder.cleanup()

    def _weights(self, run_id: str) -> bytes | None:
        path = weights_path(self.results, run_id)
        if not path.exists():  # a large network's are not kept
            return None
        content = path.read_bytes()
        path.unlink()
        return content

    def _look(self) -> tuple[int, int] | None:
        assert self._checkpoint is not None
        try:
            status = self._checkpoint.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns
