"""`bench generalise`: trained networks on test digits of one size each, 0.2 to 2.0 times MNIST's own."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def generalise(
    runs: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="Ids of finished runs whose weights were kept.")],
    results: Annotated[Path, typer.Option(help="Where the runs' records and weights are.")] = Path("results"),
    records: Annotated[Path | None, typer.Option(help="Where the measurements go. Default: as --results.")] = None,
    images: Annotated[
        int | None, typer.Option(min=1, max=50_000, help="How many test digits, the first ones. Default: all.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    plugin: Annotated[list[Path] | None, typer.Option(help="A Python file that registers models. Repeatable.")] = None,
) -> int:
    """Test runs' weights on their test digits drawn at fixed scale factors. What is measured already is skipped.

    Each run has a process of its own; one that fails costs itself alone, and the exit code is then 1.
    """
    import models

    for path in plugin or []:
        models.load_plugin(path)

    from bench.cli.measuring import Attempts
    from bench.machine.device import choose_device
    from bench.machine.source import model_of
    from bench.machine.writable import check_writable
    from bench.measure.apart import apart
    from bench.training.state.weights import find_run
    from leaderboard.records.scale_sweep import ScaleSweep

    out, chosen = results if records is None else records, str(choose_device(device))
    more = [word for path in plugin or [] for word in ("--plugin", str(path))]
    more += [] if images is None else ["--images", str(images)]
    found = [find_run(results, run_id) for run_id in runs]
    plugins = [model_of(record).plugin for record in found]
    check_writable(out, "--results" if records is None else "--records")
    attempts = Attempts(out)
    for record, where in zip(found, plugins, strict=True):
        if attempts.measured_already("generalisation", record.task, record.model, record.run_id):
            continue
        command = shlex.join(["bench", "generalise", record.run_id, *more])
        asked = {"results": results, "record": record, "device": chosen, "command": command, "images": images}
        call = partial(apart, ScaleSweep, f"testing {record.run_id}", "bench.measure.scale_sweep:measure", where, **asked)
        measured = attempts.measure(call)
        if measured is None:
            continue
        own = 100 * measured.own_sizes_wrong / measured.own_sizes_count
        errors = ", ".join(f"{at.factor:g}: {at.error:.2f}" for at in measured.factors)
        print(f"{record.run_id}: error % at each digit's own size {own:.2f}; by factor {errors}", flush=True)
    return attempts.exit_code
