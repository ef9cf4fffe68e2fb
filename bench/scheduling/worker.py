"""A worker on this machine: a process that trains, and its successors. Starting it, hearing it, and noticing its death."""

from __future__ import annotations

import json
import queue
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from subprocess import PIPE
from threading import Thread

from bench.errors import BenchError
from bench.machine.processes import ended_by, python, start
from bench.scheduling.messages import Job, Message, RunFailed, RunFinished, WorkerDied, from_line

NOT_STARTED = "no process can be started to train in: {}; end other processes, or see ulimit -a"
STDERR_LINES = 12  # the last ones are kept
PROGRAM = python("bench.scheduling.child")


class ChildProcess:
    """A process that is told what to do in lines on its input and answers in lines on its output."""

    def __init__(self, call: Sequence[str]) -> None:
        """Raises BenchError: the system starts no more processes or threads."""
        self._said: queue.Queue[bytes | WorkerDied] = queue.Queue()
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_LINES)
        try:
            self._process = start(call, stderr=PIPE)
        except OSError as error:
            raise BenchError(NOT_STARTED.format(error.strerror or error)) from error
        errors = Thread(target=self._read_errors, daemon=True)
        try:
            errors.start()
            Thread(target=self._read_answers, args=(errors,), daemon=True).start()
        except RuntimeError as error:
            self.kill()
            raise BenchError(NOT_STARTED.format(error)) from error

    def send(self, line: str) -> None:
        """To one that has died it is lost; `receive` says so."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def receive(self) -> list[bytes | WorkerDied]:
        """The lines since last asked; after the last of all, how it ended."""
        said = []
        with suppress(queue.Empty):
            while True:
                said.append(self._said.get_nowait())
        return said

    def end_input(self) -> None:
        """By this it is asked to end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        self.end_input()
        self._process.kill()
        self._process.wait()

    def _read_answers(self, errors: Thread) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._said.put(line)
        code = self._process.wait()
        errors.join(timeout=5)
        signal = ended_by(code)
        how = f"was ended by {signal}" if signal else f"ended with exit code {code}"
        reason = f"its process {how}{' (out of memory?)' if signal == 'SIGKILL' else ''}"
        self._said.put(WorkerDied(reason, list(self._stderr_tail)))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as errors:
            for line in errors:
                self._stderr_tail.append(line.decode("utf-8", "replace").rstrip())


class Worker:
    """One process after another.

    A process that ran code that is not the suite's may have changed anything in itself (torch's defaults, a layer's
    initialiser), and one whose run failed may be broken (its CUDA context): the next run gets a new one.
    """

    where = ""  # here

    def __init__(self) -> None:
        """Raises BenchError: the system starts no more processes or threads."""
        self._process, self._unclean = ChildProcess(PROGRAM), False
        self._not_started: WorkerDied | None = None

    def ready(self) -> bool:
        return True

    def begin(self, job: Job) -> None:
        """Start a run, from its state in the results folder if there is one; the process must be idle."""
        if self._unclean:
            self._process.kill()
            try:
                self._process = ChildProcess(PROGRAM)
            except BenchError as error:
                self._not_started = WorkerDied(str(error))
                return
        self._unclean = bool(job.run["source"])
        self._process.send(json.dumps(vars(job)))

    def receive(self) -> list[Message]:
        if self._not_started is not None:
            return [self._not_started]
        said: list[Message] = []
        for line in self._process.receive():
            with suppress(json.JSONDecodeError):  # half a line of one that was killed
                said.append(from_line(line) if isinstance(line, bytes) else line)
        self._unclean |= any(
            isinstance(one, RunFailed) or (isinstance(one, RunFinished) and one.record.status == "failed") for one in said
        )
        return said

    def stop(self) -> None:
        self._process.end_input()

    def close(self) -> None:
        self._process.kill()
