"""`bench scale-sweep`: trained networks on test digits of one size each, 0.2 to 2.0 times MNIST's own."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Device, MeasurementsWritten, Plugin, RunsRead, load_plugins


def scale_sweep(
    runs: Annotated[list[str], Argument(metavar="RUN_ID", help="Ids of finished runs whose weights were kept.")],
    results: RunsRead = None,
    records: MeasurementsWritten = None,
    images: Annotated[int | None, Option(min=1, max=50_000, help="How many test digits, the first ones. Default: all.")] = None,
    device: Device = "auto",
    plugin: Plugin = None,
) -> int:
    """Test runs' weights on their test digits drawn at fixed scale factors. What is measured already is skipped.

    Each run has a process of its own; one that fails costs itself alone, and the exit code is then 1.
    """
    load_plugins(plugin)

    from bench.cli.keep_going import KeepGoing
    from bench.commands import option_words
    from bench.machine.device import choose_device
    from bench.machine.source import model_of
    from bench.measure.isolated import isolated
    from bench.results import check_writable, folder_with_weights
    from bench.verify import find_record
    from leaderboard.records.scale_sweep import ScaleSweep

    chosen, options = str(choose_device(device)), option_words({"plugin": plugin, "images": images})
    folders = results or [Path("results")]
    found = [find_record(folders, run_id) for run_id in runs]
    plugins = [model_of(record).plugin for record in found]
    session = KeepGoing(records or folders[0])
    check_writable(session.records, "--results" if records is None else "--records")
    for record, file in zip(found, plugins, strict=True):
        if session.measured_already("generalisation", record.task, record.model, record.run_id):
            continue
        command = shlex.join(["bench", "scale-sweep", record.run_id, *options])
        folder = folder_with_weights(folders, record.run_id)
        asked = {"results": folder, "record": record, "device": chosen, "command": command, "images": images}
        call = partial(isolated, ScaleSweep, f"testing {record.run_id}", "bench.measure.scale_sweep:sweep", file, **asked)
        if (measured := session.measure(call)) is not None:
            own = 100 * measured.own_sizes_wrong / measured.own_sizes_count
            errors = ", ".join(f"{at.factor:g}: {at.error:.2f}" for at in measured.factors)
            print(f"{record.run_id}: error % at each digit's own size {own:.2f}; by factor {errors}", flush=True)
    return session.exit_code
