"""Importing method files and code that is not the suite's: it costs one line at most, whatever it does."""

from __future__ import annotations

import importlib
import importlib.metadata
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

from models.errors import ModelError, said

ENTRY_POINT_GROUP = "bench.models"


@contextmanager
def guarded(tell: Callable[[BaseException], str] = said) -> Iterator[None]:
    """Whatever is raised within, SystemExit and KeyboardInterrupt too, comes out as a ModelError that says `tell(error)`.

    What a signal raises meanwhile (Ctrl-C, a stop, a time budget) passes. What is printed goes to standard error: a verb's
    standard output is its own. What is drawn is the same in every process, and nobody else's.
    """
    with _signals_noticed() as by_signal, _same_draws(), redirect_stdout(sys.stderr):
        try:
            yield
        except ModelError:
            raise
        except BaseException as error:
            if by_signal:
                raise by_signal[-1] from None
            raise ModelError(tell(error)) from error


@contextmanager
def _signals_noticed() -> Iterator[list[BaseException]]:
    """What handlers of signals raise while in it, in order. Handlers are the main thread's alone."""
    raised: list[BaseException] = []

    def noticing(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                raised.append(error)
                raise

        return handle

    if threading.current_thread() is not threading.main_thread():
        yield raised
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number, handler in before.items():
        signal.signal(number, noticing(handler))
    try:
        yield raised
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _same_draws() -> Iterator[None]:
    """Within, Python's, numpy's and torch's generators start from 0; afterwards they go on as if nothing had been drawn.

    torch seeds its own anew in every process: a network built on import would have other weights in each.
    """
    import numpy as np
    import torch

    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(of_torch)


def import_method_file(file: Path, module: str) -> None:
    """Import a method file by its module's name. Raises ModelError: it cannot be imported, in one line with file and line."""
    if not file.stem.isidentifier():
        raise ModelError(
            f"{short_name(file)}: Python imports no file of this name; rename it, or move it elsewhere if it is a copy"
        )
    with guarded(lambda error: _with_place(error, file)):
        file.stat()  # of a link that leads nowhere it says more than an import does
        importlib.import_module(module)


def _with_place(error: BaseException, file: Path) -> str:
    """`models/new.py:3: NameError: ...`: an exception on one line, with the line of the file that led to it."""
    if isinstance(error, SyntaxError) and error.filename in (str(file), None):
        return f"{short_name(file)}:{error.lineno or 1}: {type(error).__name__}: {' '.join(error.msg.split())}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    what = said(error) if lines else getattr(error, "strerror", None) or said(error)
    return f"{short_name(file)}:{lines[-1] if lines else 1}: {what}"


def short_name(file: Path) -> str:
    """`models/sesn.py` for /anywhere/models/sesn.py."""
    return f"{file.parent.name}/{file.name}"


def entry_points() -> Iterator[importlib.metadata.EntryPoint | ModelError]:
    """What installed packages offer as models; of a package whose metadata cannot be read, why not in one line."""
    try:
        yield from importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # of one package; which one it is shows when they are asked one by one
        seen = set()
        for package in importlib.metadata.distributions():
            try:
                if package.name not in seen:
                    seen.add(package.name)
                    yield from package.entry_points.select(group=ENTRY_POINT_GROUP)
            except Exception as error:
                place = getattr(package, "_path", "a package")
                yield ModelError(f"the metadata of {place} cannot be read and are left out: {said(error)}")
