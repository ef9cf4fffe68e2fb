"""`bench verify`: repeat a run from its record."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Plugin, RecordsRead, load_plugins


def verify(
    run_id: Annotated[str, Argument(help="The run's id, as the board and its record name it.")],
    records: RecordsRead = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda or cuda:N. Default: the record's.")] = None,
    plugin: Plugin = None,
) -> int:
    """Repeat a run from its record into a scratch folder; exit 0 if it agrees, 1 if it does not."""
    from bench.verify import find_record

    roots = records or [Path("records")]
    record = find_record(roots, run_id)  # a mistyped id is answered before torch is imported

    from bench.errors import BenchError
    from bench.machine.device import choose_device
    from bench.measure.isolated import isolated
    from bench.verify import judge, rebuild, spread_of_runs
    from leaderboard.records.schema import Record

    load_plugins(plugin)
    run, chosen = rebuild(record), choose_device(device or record.hardware.device)
    seconds = record.timings.total_seconds if record.timings else 0
    print(f"repeating {record.run_id} on {chosen}; it took {seconds:.0f} s when it was recorded")
    try:
        with TemporaryDirectory(prefix="bench-verify-") as scratch:
            asked = {"record": record, "device": str(chosen), "scratch": scratch}
            again = isolated(Record, f"repeating {record.run_id}", "bench.verify:repeat", run.plugin, **asked)
    except BenchError as error:  # the model ended its process
        print(f"bench: {error}", file=sys.stderr)
        return 1
    verdict = judge(record, again, spread_of_runs(roots, record))
    print("\n".join(verdict.lines))
    return 0 if verdict.agrees else 1
