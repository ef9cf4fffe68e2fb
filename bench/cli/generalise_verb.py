"""`bench generalise`: trained networks on test digits of one size each, 0.2 to 2.0 times MNIST's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def generalise(
    runs: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="Ids of finished runs whose weights were kept.")],
    results: Annotated[Path, typer.Option(help="Where the runs' records and weights are.")] = Path("results"),
    records: Annotated[Path | None, typer.Option(help="Where the measurements go. Default: as --results.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="How many test digits, the first ones. Default: all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    plugin: Annotated[list[Path] | None, typer.Option(help="A Python file that registers models. Repeatable.")] = None,
) -> None:
    """Test runs' weights on their test digits drawn at fixed scale factors. What is measured already is skipped."""
    import models

    for path in plugin or []:
        models.load_plugin(path)

    from bench.device import choose_device, on
    from bench.generalisation import generalise as measure
    from bench.weights import find_run
    from leaderboard.measurements import measurement_path, write_measurement

    out, chosen = results if records is None else records, choose_device(device)
    more = [word for path in plugin or [] for word in ("--plugin", str(path))]
    more += [] if images is None else ["--images", str(images)]
    for record in [find_run(results, run_id) for run_id in runs]:
        path = measurement_path(out, "generalisation", record.task, record.model, record.run_id)
        if path.exists():
            print(f"measured already: {path}")
            continue
        with on(chosen):
            measured = measure(results, record, chosen, shlex.join(["bench", "generalise", record.run_id, *more]), images)
        write_measurement(out, measured)
        own = 100 * measured.own_sizes_wrong / measured.own_sizes_count
        errors = ", ".join(f"{at.factor:g}: {at.error:.2f}" for at in measured.factors)
        print(f"{record.run_id}: error % at each digit's own size {own:.2f}; by factor {errors}", flush=True)
