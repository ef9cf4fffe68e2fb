"""A run made again from its record, with the recipe that the record holds and not that of today's protocol file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import ValidationError

import datasets
import models
from bench.compatibility import incompatibilities
from bench.errors import BenchError
from bench.machine.device import choose_device
from bench.machine.source import model_of
from bench.plan import Run
from bench.protocol import Protocol
from bench.recipe import EXECUTION, Recipe
from bench.training.run import execute
from bench.training.trainer import Watch
from leaderboard.errors import one_line
from leaderboard.records.schema import Record


def rebuild(record: Record) -> Run:
    """The run of a record, computed in the way that the record tells.

    Raises BenchError when today's data or code, the suite's or a plugin's, would make another run of it, ModelError when the
    model is not known.
    """
    settings = dict(record.protocol.recipe)
    realizations = settings.pop("realizations", [record.realization])
    if record.execution is None:  # from before records held it: what was not at its default stands in the recipe
        settings.setdefault("cuda_graph", False)
    else:
        settings |= {name: getattr(record.execution, name) for name in EXECUTION}
    try:
        recipe = Recipe.model_validate(settings)
        protocol = Protocol(
            name=record.protocol.name, summary="from a record", smoke=record.protocol.smoke, realizations=realizations,
            recipes={record.task: recipe},
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        where = one_line(".".join(map(str, first["loc"])) or "recipe", 80)
        raise _outdated(record, f"its recipe's `{where}` is unknown to today's code ({one_line(first['msg'])})") from error
    if record.task not in datasets.TASKS:
        raise _outdated(record, f"its task {record.task!r} is none of today's")
    for wrong in incompatibilities(recipe, record.task):
        raise _outdated(record, f"its recipe asks for what there is not ({wrong})")
    if models.canonical_name(record.model, record.task) != record.model:
        raise _outdated(record, f"its model is now called {models.canonical_name(record.model, record.task)!r}")
    fingerprint = datasets.fingerprint(record.task, record.realization, test_size=recipe.data.test_size)
    if fingerprint != record.data.fingerprint:
        raise _outdated(record, f"its data have the fingerprint {record.data.fingerprint[:12]}, today's {fingerprint[:12]}")
    code = model_of(record)
    source = code.source if record.source else ""  # a record from before there was the field has it not in its id either
    run = Run(
        record.model, record.task, record.realization, protocol, recipe, fingerprint, source=source, plugin=code.plugin
    )  # fmt: skip
    if run.id != record.run_id:
        raise _outdated(record, f"today's code gives this run the id {run.id}")
    return run


def _outdated(record: Record, why: str) -> BenchError:
    commit = record.software.git_commit
    there = f"check out the commit that made it ({commit[:12]})" if commit else "use the version that made it"
    return BenchError(f"{record.run_id} cannot be repeated: {why}; {there} and verify there")


def repeated(record: Record, device: str, scratch: Path) -> Record:
    """The record of a record's run made again in this process. Raises as `rebuild` and `repeat` do."""
    return repeat(rebuild(record), record, choose_device(device), scratch)


def repeat(run: Run, record: Record, device: torch.device, scratch: Path) -> Record:
    """The record of the run made again, in a scratch folder.

    On the CPU with as many threads as the record says, where there are as many cores: sums are made in another order otherwise.
    On another kind of device with that one's usual evaluation batch: the record's may not fit into its memory.
    Raises DataError.
    """
    datasets.prepare([run.task], [run.realization], test_size=run.recipe.data.test_size)
    if device.type != record.hardware.device:
        run = replace(run, recipe=run.recipe.model_copy(update={"evaluation_batch": None}))
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(min(record.hardware.threads, os.cpu_count() or 1) or threads)
    try:
        return execute(run, device, scratch, Watch())
    finally:
        torch.set_num_threads(threads)
