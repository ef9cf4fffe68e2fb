"""A measurement in a process of its own: what a model does to its process costs that model alone and changes no other.

The model may print, ask for input, exit, crash or change torch's defaults: the parent hears one line of JSON, or that the
process is gone. The end of the input ends the process, also when the parent was killed.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError, validate_call
from pydantic_core import to_json

import datasets
import models
from bench.errors import BenchError, debugging
from bench.machine.processes import ended_by, python, start, take_streams
from leaderboard.errors import RecordError, one_line
from models.errors import said as words_of

T = TypeVar("T")
OURS = (BenchError, models.ModelError, datasets.DataError, RecordError)  # their messages say it all


def isolated(kind: type[T], what: str, function: str, plugin: str = "", **arguments: Any) -> T:
    """Call `function` ("module:name") in a fresh process and return what it returns, of this kind.

    `what` is done there, for messages ("timing cnn"). `plugin`: a file of models to load there, and no other. Arguments travel
    as JSON and become what the function's annotations say.
    Raises DataError: raised there; BenchError, in one line: anything else was raised there, or the process died.
    """
    asked = to_json({"function": function, "plugin": plugin, "arguments": arguments})
    with (
        tempfile.TemporaryFile() as errors,
        start(python("bench.measure.isolated"), stderr=None if debugging() else errors) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            with suppress(OSError):  # it died: then there is no answer
                process.stdin.write(asked + b"\n")
                process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            process.kill()  # it has answered, or is not wanted any more
            code = process.wait()
        errors.seek(0)
        stderr = errors.read().decode("utf-8", "replace").strip().splitlines()
    try:
        said = json.loads(answer)
        if "result" in said:
            return TypeAdapter(kind).validate_python(said["result"])
        reason = said["error"]
    except (ValueError, ValidationError):
        how = f"was ended by {name}" if (name := ended_by(code)) else f"ended itself with exit code {code}"
        said, reason = {}, f"its process {how}{f': {one_line(stderr[-1])}' if stderr else ''}"
    if said.get("data"):
        raise datasets.DataError(reason)
    raise BenchError(f"{what} failed: {reason}")


def main() -> None:
    """Do what the first line of the input asks; the answer is one line on the output."""
    orders, answers = take_streams()
    asked = json.loads(orders.readline())
    threading.Thread(target=_end_with_parent, args=(orders,), daemon=True).start()
    try:
        for plugin in filter(None, [asked["plugin"]]):
            models.load_plugin(plugin)
        module, _, name = asked["function"].partition(":")
        result = validate_call(getattr(importlib.import_module(module), name))(**asked["arguments"])
        answer = {"result": TypeAdapter(type(result)).dump_python(result, mode="json")}
    except BaseException as error:  # this process exists to find out; SystemExit is a failure, too
        traceback.print_exc()
        answer = {"error": _reason(error, asked["plugin"]), "data": isinstance(error, datasets.DataError)}
    answers.write(to_json(answer) + b"\n")
    answers.flush()
    os._exit(0)  # whatever the model left running


def _end_with_parent(orders: BinaryIO) -> None:
    orders.read()
    os._exit(1)


def _reason(error: BaseException, plugin: str) -> str:
    """In one line what was raised, and where in the plugin's folder."""
    if isinstance(error, OURS):
        return one_line(error)
    own = [f for f in traceback.extract_tb(error.__traceback__) if plugin and Path(f.filename).parent == Path(plugin).parent]
    return one_line(words_of(error) + (f" ({Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line})" if own else ""))


if __name__ == "__main__":
    main()
