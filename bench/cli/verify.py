"""`bench verify`: repeat a run from its record."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from bench.cli.options import Plugin, RecordsRead, load_plugins

if TYPE_CHECKING:
    from bench.verify import Verdict
    from leaderboard.records.schema import Record


def verify(
    run_id: Annotated[str, Argument(help="The run's id, as the board and its record name it.")],
    records: RecordsRead = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda or cuda:N. Default: the record's.")] = None,
    plugin: Plugin = None,
    keep: Annotated[
        Path | None, Option(help="Write what came of it into this folder of records, for the board to show; needs --by.")
    ] = None,
    by: Annotated[str | None, Option(help="Your name, which is shown beside the run.")] = None,
) -> int:
    """Repeat a run from its record into a scratch folder; exit 0 if it agrees, 1 if it does not."""
    from bench.verify import find_record

    roots = records or [Path("records")]
    _check(keep, by)
    record = find_record(roots, run_id)  # a mistyped id is answered before torch is imported
    load_plugins(plugin)
    again, verdict = repeat_and_judge(record, roots, device)
    if keep is not None and by is not None:
        _keep(record, again, verdict, keep, by)
    return 0 if verdict.agrees else 1


def repeat_and_judge(record: Record, roots: Sequence[Path], device: str | None) -> tuple[Record | None, Verdict]:
    """Repeat the record's run in a process of its own, and say what came of it; its record is None where the process died.

    `roots`: folders of records, for how much the model's realizations spread. Raises as `bench.verify.rebuild` does.
    """
    from bench.errors import BenchError
    from bench.machine.device import choose_device
    from bench.measure.isolated import isolated
    from bench.verify import Verdict, judge, rebuild, spread_of_runs
    from leaderboard.records.schema import Record

    run, chosen = rebuild(record), choose_device(device or record.hardware.device)
    seconds = record.timings.total_seconds if record.timings else 0
    print(f"repeating {record.run_id} on {chosen}; it took {seconds:.0f} s when it was recorded", flush=True)
    try:
        with TemporaryDirectory(prefix="bench-verify-") as scratch:
            asked = {"record": record, "device": str(chosen), "scratch": scratch}
            again = isolated(Record, f"repeating {record.run_id}", "bench.verify:repeat", run.plugin, **asked)
    except BenchError as error:  # the model ended its process
        print(f"bench: {error}", file=sys.stderr)
        return None, Verdict(False, [str(error)])
    verdict = judge(record, again, spread_of_runs(roots, record))
    print("\n".join(verdict.lines))
    return again, verdict


def _check(keep: Path | None, by: str | None) -> None:
    """Before an hour's work. Raises BenchError: one of the two without the other, no name, or no place to write to."""
    from bench.errors import BenchError
    from bench.results import check_writable
    from leaderboard.errors import one_line
    from leaderboard.records.repeat import LONGEST_NAME

    if (keep is None) != (by is None):
        raise BenchError("--keep and --by go together: --keep records --by 'Your Name' writes the repeat, and who says so")
    if by is not None and (not by or by != one_line(by, LONGEST_NAME)):
        raise BenchError(f"--by {one_line(by, 40)!r}: give a name on one line, of at most {LONGEST_NAME} characters")
    if keep is not None:
        check_writable(keep, "--keep", "folder of records")


def _keep(record: Record, again: Record | None, verdict: Verdict, folder: Path, by: str) -> None:
    from leaderboard.records.measurement import write_measurement
    from leaderboard.records.repeat import repeat_of

    if again is None or verdict.how is None:
        print("bench: the repeat has no result, so nothing is kept", file=sys.stderr)
        return
    command = shlex.join(["bench", "verify", record.run_id, "--keep", "records", "--by", by])
    repeat = repeat_of(record, again, verdict.how, verdict.tolerance, verdict.lines, by=by, command=command)
    path = write_measurement(folder, repeat)
    alike = "" if repeat.on_other_hardware else "; its hardware is like the record's, so the board does not count it"
    print(f"kept: {path}{alike if verdict.agrees else ''}")
