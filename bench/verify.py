"""A run made again from its record, and whether the two agree: to the last bit on the same machine, within chance elsewhere.

It is made with the recipe that the record holds and not with that of today's protocol file. Importing this takes no torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

import datasets
import models
from bench.commands import repeat_command
from bench.compatibility import incompatibilities
from bench.errors import BenchError
from bench.machine.source import model_of
from bench.plan import Run
from bench.protocol import Protocol
from bench.recipe import EXECUTION, Recipe
from leaderboard.board.tables import build_sections
from leaderboard.errors import RecordError, one_line
from leaderboard.reading.collection import collect
from leaderboard.reading.copies import choose_record
from leaderboard.reading.folders import Loaded, Unreadable, read_each
from leaderboard.records import repeat as repeats
from leaderboard.records.file_kind import RUN
from leaderboard.records.schema import Metrics, Record
from leaderboard.stats.answers import by_model, evidence_of
from leaderboard.stats.evidence import Evidence
from models.errors import suggestion

# What has to be equal before equal bits can be asked for. The system's kernel, the commit and the number of jobs need not be.
ENVIRONMENT = {"hardware": ("device", "name", "threads"), "software": ("python", "torch", "numpy", "cuda")}
ON_CUDA = {"driver": "hardware", "cudnn": "software"}  # as well; neither has a part in what the CPU computes
UNKNOWN = "unknown"
# The settings in EXECUTION of records that hold none of them.
OLDER_DEFAULTS = {
    "batch_split": 1, "channels_last": False, "compile": False, "cuda_graph": False, "evaluation_batch": UNKNOWN,
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """``lines`` say why; ``how``: None if the repeat has no result. ``tolerance``: percentage points, if bits may differ."""

    agrees: bool
    lines: list[str]
    how: repeats.Verdict | None = None
    tolerance: float | None = None


def find_record(roots: Sequence[Path], run_id: str) -> Record:
    """The ok record with this id, at any depth. Raises BenchError: there is none; RecordError: unreadable, or no folder.

    Of several copies that agree the earliest; RecordError too where they contradict each other.
    """
    found = list(read_each(roots, {RUN: Record}))
    copies = [one for one in found if isinstance(one, Loaded) and one.item.run_id == run_id]
    bad = [one for one in found if isinstance(one, Unreadable) and one.path.stem == run_id]
    if not copies and bad:
        raise RecordError(f"{one_line(bad[0].path)} is no readable record: {bad[0].reason}")
    if not copies:
        known = sorted({one.item.run_id for one in found if isinstance(one, Loaded)})
        where = ", ".join(one_line(root) for root in roots)
        raise BenchError(f"no record of a run {run_id!r} in {where}{suggestion(run_id, known)}; the board lists all ids")
    record = choose_record(copies)
    if record.metrics is None:
        root = next(root for root in roots if copies[0].path.is_relative_to(root))
        command = repeat_command(record, root)
        raise BenchError(f"{run_id} is {record.status}: it has no result; to run it again: {command}")
    return record


def rebuild(record: Record) -> Run:
    """The run of a record, computed in the way that the record tells.

    Raises BenchError when today's data or code, the suite's or a plugin's, would make another run of it, ModelError when the
    model is not known.
    """
    settings = dict(record.protocol.recipe)
    realizations = settings.pop("realizations", [record.realization])
    settings |= {name: value for name, value in _execution(record).items() if value != UNKNOWN}
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


def repeat(record: Record, device: str, scratch: Path) -> Record:
    """The record of the record's run made again, in a scratch folder.

    On the CPU with as many threads as the record says, where there are as many cores: sums are made in another order otherwise.
    On another kind of device with that one's usual evaluation batch: the record's may not fit into its memory.
    Raises as `rebuild` does; DataError; BenchError: no such device.
    """
    import torch

    from bench.machine.device import choose_device
    from bench.training.run import execute
    from bench.training.trainer import Watch

    run, chosen, threads = rebuild(record), choose_device(device), torch.get_num_threads()
    datasets.prepare([run.task], [run.realization], test_size=run.recipe.data.test_size)
    if chosen.type != record.hardware.device:
        run = replace(run, recipe=run.recipe.model_copy(update={"evaluation_batch": None}))
    if chosen.type == "cpu":
        torch.set_num_threads(min(record.hardware.threads, os.cpu_count() or 1) or threads)
    try:
        return execute(run, chosen, scratch, Watch())
    finally:
        torch.set_num_threads(threads)


def spread_of_runs(roots: Sequence[Path], record: Record) -> Evidence | None:
    """What the realizations of this model under this recipe say about its spread; None for fewer than two."""
    alike = [
        run for run in collect(roots).runs
        if (run.model, run.source, run.task, run.protocol, run.protocol_digest, run.data_variant, run.status)
        == (record.model, record.source, record.task, record.protocol.name, record.protocol.digest, record.data.variant, "ok")
    ]  # fmt: skip
    build_sections(alike)  # raises RecordError where they cannot be averaged
    return evidence_of(by_model(alike)[record.model]) if len(alike) > 1 else None


def judge(record: Record, again: Record, spread: Evidence | None) -> Verdict:
    """Compare the two. Equal surroundings call for equal bits, others for a difference within the chance of it."""
    before, after = record.metrics, again.metrics
    if before is None or after is None:
        kind, message = (again.failure.kind, again.failure.message) if again.failure else ("", "")
        return Verdict(False, [f"does not agree: the run {again.status} ({one_line(f'{kind}: {message}')})"])
    lines = [_numbers("record", record, before), _numbers("again", again, after)]
    unequal = _differences(record, again)
    parts = ("wrong_answers", "train_loss_curve", "validation_error_curve", "best_epoch")
    differ = [name for name in parts if getattr(before, name) != getattr(after, name)]
    if not differ:
        return Verdict(True, [*lines, f"agrees bitwise: {', '.join(parts)} are equal"], "bitwise")
    if not unequal:
        lines += [f"does not agree: same hardware, threads and versions, yet not bitwise equal: {', '.join(differ)}"]
        commit = record.software.git_commit
        if commit and commit != again.software.git_commit:
            lines += [f"the code is another: to repeat it as it was, check out {commit[:12]} and verify there"]
        return Verdict(False, lines, "differs")
    tolerance, basis = _tolerance(before, after, spread)
    gap = after.test_error - before.test_error
    lines += [f"not bitwise equal, nor need it be: another {'; '.join(unequal)}"]
    lines += [f"difference {gap:+.3f} percentage points; 95 % of repeats lie within {tolerance:.3f} ({basis})"]
    if abs(gap) <= tolerance:
        return Verdict(True, [*lines, "agrees within the interval"], "within chance", tolerance)
    return Verdict(False, [*lines, "does not agree"], "differs", tolerance)


def _differences(record: Record, again: Record) -> list[str]:
    """What differs of the surroundings and of the way of computing; on CUDA also what one of the two does not tell."""
    on_cuda = "cuda" in (record.hardware.device, again.hardware.device)
    found = []
    then, now = _environment(record), _environment(again)
    for name, before in then.items():
        after = now[name]
        unknown = UNKNOWN in (before, after)  # on the CPU only the evaluation batch of older records, which was today's
        if (before != after or unknown) if on_cuda else (before != after and not unknown and name not in ON_CUDA):
            found.append(f"{name} ({before} then, {after} now)")
    return found


def _environment(record: Record) -> dict[str, object]:
    told = {name: getattr(getattr(record, part), name) for part, names in ENVIRONMENT.items() for name in names}
    return told | {name: getattr(getattr(record, part), name) or UNKNOWN for name, part in ON_CUDA.items()} | _execution(record)


def _execution(record: Record) -> dict[str, object]:
    """How the run was computed. Older records hold it in their recipe, without what was at its default."""
    if record.execution is not None:
        return {name: getattr(record.execution, name) for name in EXECUTION}
    return {name: record.protocol.recipe.get(name, OLDER_DEFAULTS[name]) for name in EXECUTION}


def _numbers(when: str, record: Record, metrics: Metrics) -> str:
    commit = (record.software.git_commit or "unknown")[:7] + (" with changes" if record.software.git_dirty else "")
    return (
        f"{when}: {len(metrics.wrong_answers)} wrong of {metrics.test_count} ({metrics.test_error:.3f} %), best epoch "
        f"{metrics.best_epoch}, commit {commit}, {record.hardware.name}, {record.hardware.threads} threads"
    )


def _tolerance(before: Metrics, after: Metrics, spread: Evidence | None) -> tuple[float, str]:
    """How far apart two runs may be: by their answers to the same images, and by the spread over realizations if known."""
    wrong = np.zeros((2, before.test_count))
    for row, metrics in zip(wrong, (before, after), strict=True):
        row[[index for index, _ in metrics.wrong_answers]] = 1
    images = Evidence(0.0, 1, 0.0, float(np.var(100 * (wrong[0] - wrong[1]))) / before.test_count, 0.0, float("inf"))
    if spread is None:
        return images.interval.high, "test images only: there is one realization, so the spread of trainings is unknown"
    runs = Evidence(0.0, 1, 2 * spread.variance, 0.0, 0.0, spread.dof)  # the difference of two runs has twice the variance
    return max(images.interval.high, runs.interval.high), f"test images, and the spread of {spread.n} realizations"
