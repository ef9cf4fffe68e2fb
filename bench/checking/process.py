"""A process that has a stranger's model and answers questions on it, one line of JSON each.

What the model does to its process costs that check alone: when it exits, crashes or takes too long, the parent says so and
starts another for the next check.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import datasets
import models
from bench.errors import BenchError, debugging
from bench.machine.processes import ended_by, python, start, take_streams
from leaderboard.errors import one_line
from models.errors import said

STARTING = 120.0  # seconds for a process to start, torch and the model's file imported


class Gone(Exception):
    """The process ended, or did not answer in time; the message says which."""


class Worker:
    """The parent's end. A process starts at the first question, and again at the first after it has gone."""

    def __init__(self, plugins: list[str]) -> None:
        self.plugins = plugins
        self.process: Any = None

    def ask(self, limit: float, **question: Any) -> Any:
        """The answer to a question. Raises Gone; BenchError: what is asked for cannot be done as asked."""
        if self.process is None:
            self._start()
            self.ask(STARTING, do="load", plugins=self.plugins)
        with suppress(OSError):  # it died: then there is no answer
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        try:
            line = self.answers.get(timeout=limit)
        except queue.Empty:
            self.close()
            raise Gone(f"it did not end within {limit:g} s, and was ended") from None
        if not line:
            raise Gone(f"its process {self._end()}")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _start(self) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = start(python("bench.checking.process"), stderr=None if debugging() else self.errors)
        self.answers: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(self.process.stdout, self.answers), daemon=True).start()

    def _end(self) -> str:
        """How the process ended, which it has."""
        code = self.process.wait()
        self.process = None
        self.errors.seek(0)
        stderr = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        how = f"was ended by {name}" if (name := ended_by(code)) else f"ended itself with exit code {code}"
        return how + (f": {one_line(stderr[-1])}" if stderr else "")


def _read(stream: BinaryIO, answers: queue.Queue[bytes]) -> None:
    for line in stream:
        answers.put(line)
    answers.put(b"")


# ---------------------------------------------------------------------------------------------------------- in the process


def main() -> None:
    """Answer questions until there are no more."""
    orders, answers = take_streams()
    questions: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_or_end, args=(orders, questions), daemon=True).start()
    while True:
        question = json.loads(questions.get())
        try:
            answer = {"answer": DO[question.pop("do")](**question)}
        except (BenchError, models.ModelError, datasets.DataError) as error:
            answer = {"error": str(error)}
        except BaseException as error:  # SystemExit, too
            traceback.print_exc()
            answer = {"error": one_line(said(error))}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _read_or_end(orders: BinaryIO, questions: queue.Queue[bytes]) -> None:
    for line in orders:
        questions.put(line)
    os._exit(0)  # the parent is done, or is gone; whatever the model left running


def load(plugins: list[str]) -> list[str]:
    """Load these files of models; the names that they register."""
    from bench.machine.device import reuse_memory, set_numerics

    set_numerics("float32")
    reuse_memory()
    return [name for plugin in plugins for name in models.load_plugin(plugin)]


def pairs(names: list[str], tasks: list[str]) -> list[tuple[str, str]]:
    """(model, task) for all of these, in the order of the board's tasks."""
    from bench.plan import match_models, match_tasks

    found = match_models(names, match_tasks(tasks))
    return sorted(found, key=lambda pair: (pair[0], datasets.TASKS.index(pair[1])))


@lru_cache(maxsize=2)
def _subject(model: str, task: str) -> Any:
    from bench.checking.subject import Subject

    return Subject(model, task)


def same(model: str, task: str, base: str) -> bool:
    """Whether the networks of two tasks are one: the same weights and logits under one seed."""
    import torch

    found = []
    for on in (task, base):
        network = _subject(model, on).build().eval()
        with torch.no_grad():
            logits = network(_subject(model, base).images(network))
        found.append([*network.state_dict().values(), *network.buffers(), logits])
    one, other = found
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def check(name: str, model: str, task: str) -> dict[str, Any]:
    """The finding of one check, as plain JSON."""
    from pydantic_core import to_jsonable_python

    from bench.checking import cost, soundness
    from bench.checking.finding import raised
    from bench.checking.names import CHECKS

    place, function, todo = CHECKS[name]
    subject = None
    try:
        subject = _subject(model, task)
        finding = getattr({"cost": cost, "soundness": soundness}[place], function)(subject)
    except BaseException as error:  # SystemExit, too; what the model prints and raises is in the process's own words
        traceback.print_exc()
        finding = raised(error, subject.folder if subject is not None else None, todo)
    plain: dict[str, Any] = to_jsonable_python(finding)
    return plain


def errors(model: str, task: str) -> dict[str, Any]:
    """A network's errors of equivariance, as plain JSON; where it raises, the finding that it does."""
    from pydantic_core import to_jsonable_python

    from bench.checking.beside import errors_of
    from bench.checking.finding import raised

    try:
        return {"errors": to_jsonable_python(errors_of(model, task)), "pictures": _subject(model, task).pictures.description}
    except BaseException as error:
        traceback.print_exc()
        return {"finding": to_jsonable_python(raised(error, Path(_subject(model, task).folder or ".")))}


DO: dict[str, Callable[..., Any]] = {"load": load, "pairs": pairs, "same": same, "check": check, "errors": errors}

if __name__ == "__main__":
    main()
