"""Whether a run made again agrees with its record: to the last bit on the same machine, within the chance of it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.commands import repeat_command
from bench.errors import BenchError
from bench.recipe import EXECUTION
from leaderboard.board.tables import build_sections
from leaderboard.errors import RecordError, one_line
from leaderboard.reading.collection import collect
from leaderboard.reading.copies import choose_record
from leaderboard.reading.folders import Loaded, Unreadable, read_each
from leaderboard.records.file_kind import RUN
from leaderboard.records.schema import Metrics, Record
from leaderboard.stats.answers import by_model, evidence_of
from leaderboard.stats.evidence import Evidence
from models.errors import suggestion

# What has to be equal before equal bits can be asked for. The system's kernel, the commit and the number of jobs need not be.
SURROUNDINGS = {"hardware": ("device", "name", "threads"), "software": ("python", "torch", "numpy", "cuda")}
ON_CUDA = {"driver": "hardware", "cudnn": "software"}  # as well; neither has a part in what the CPU computes
UNKNOWN = "unknown"
# The settings in EXECUTION of records that hold none of them.
OLDER_DEFAULTS = {
    "batch_split": 1, "channels_last": False, "compile": False, "cuda_graph": False, "evaluation_batch": UNKNOWN,
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """``lines`` say why."""

    agrees: bool
    lines: list[str]


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
    unequal = _unequal(record, again)
    parts = ("wrong_answers", "train_loss_curve", "validation_error_curve", "best_epoch")
    differ = [name for name in parts if getattr(before, name) != getattr(after, name)]
    if not differ:
        return Verdict(True, [*lines, f"agrees bitwise: {', '.join(parts)} are equal"])
    if not unequal:
        lines += [f"does not agree: same hardware, threads and versions, yet not bitwise equal: {', '.join(differ)}"]
        commit = record.software.git_commit
        if commit and commit != again.software.git_commit:
            lines += [f"the code is another: to repeat it as it was, check out {commit[:12]} and verify there"]
        return Verdict(False, lines)
    reach, basis = _reach(before, after, spread)
    gap = after.test_error - before.test_error
    lines += [f"not bitwise equal, nor need it be: another {'; '.join(unequal)}"]
    lines += [f"difference {gap:+.3f} percentage points; 95 % of repeats lie within {reach:.3f} ({basis})"]
    return Verdict(abs(gap) <= reach, [*lines, "agrees within the interval" if abs(gap) <= reach else "does not agree"])


def _unequal(record: Record, again: Record) -> list[str]:
    """What differs of the surroundings and of the way of computing; on CUDA also what one of the two does not tell."""
    on_cuda = "cuda" in (record.hardware.device, again.hardware.device)
    found = []
    then, now = _surroundings(record), _surroundings(again)
    for name, before in then.items():
        after = now[name]
        unknown = UNKNOWN in (before, after)  # on the CPU only the evaluation batch of older records, which was today's
        if (before != after or unknown) if on_cuda else (before != after and not unknown and name not in ON_CUDA):
            found.append(f"{name} ({before} then, {after} now)")
    return found


def _surroundings(record: Record) -> dict[str, object]:
    told = {name: getattr(getattr(record, part), name) for part, names in SURROUNDINGS.items() for name in names}
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


def _reach(before: Metrics, after: Metrics, spread: Evidence | None) -> tuple[float, str]:
    """How far apart two runs may be: by their answers to the same images, and by the spread over realizations if known."""
    wrong = np.zeros((2, before.test_count))
    for row, metrics in zip(wrong, (before, after), strict=True):
        row[[index for index, _ in metrics.wrong_answers]] = 1
    images = Evidence(0.0, 1, 0.0, float(np.var(100 * (wrong[0] - wrong[1]))) / before.test_count, 0.0, float("inf"))
    if spread is None:
        return images.interval.high, "test images only: there is one realization, so the spread of trainings is unknown"
    runs = Evidence(0.0, 1, 2 * spread.variance, 0.0, 0.0, spread.dof)  # the difference of two runs has twice the variance
    return max(images.interval.high, runs.interval.high), f"test images, and the spread of {spread.n} realizations"
