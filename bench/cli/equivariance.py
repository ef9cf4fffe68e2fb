"""`bench equivariance`: how far networks are from scale and translation equivariance, at initialisation or after training."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bench.cli.options import MeasurementsWritten, Plugin, RunsRead, Task, load_plugins

if TYPE_CHECKING:
    from leaderboard.records.equivariance import Equivariance


def equivariance(
    model: Annotated[list[str] | None, Option(help="Model name or glob, measured at initialisation. Repeatable.")] = None,
    task: Task = None,
    run: Annotated[list[str] | None, Option(help="Id of a finished run, measured with its weights. Repeatable.")] = None,
    seed: Annotated[int, Option(min=0, max=2**63 - 1, help="Seed of the weights at initialisation.")] = 0,
    images: Annotated[
        int | None, Option(min=1, max=50_000, help="How many images. Default: 32 digits or 4 photographs.")
    ] = None,
    results: RunsRead = None,
    records: MeasurementsWritten = None,
    plugin: Plugin = None,
) -> int:
    """Measure the equivariance error of every layer and of the logits, on the CPU. What is measured already is skipped.

    Each network has a process of its own; one that fails costs itself alone, and the exit code is then 1.
    """
    import models
    from bench.errors import BenchError
    from bench.plan import match_models, match_tasks

    if not (run or model or task):
        raise BenchError("say what to measure: --model NAME, --task NAME or, after training, --run RUN_ID")
    if run and (model or task):
        raise BenchError("--run names a model and a task itself; leave out --model and --task")
    load_plugins(plugin)
    pairs = match_models(model or ["*"], match_tasks(task or ["*"])) if not run else []

    from bench.cli.keep_going import KeepGoing
    from bench.commands import option_words
    from bench.machine.source import model_of, name_at_initialisation
    from bench.measure.isolated import isolated
    from bench.results import check_writable, folder_with_weights
    from bench.verify import find_record
    from leaderboard.records.equivariance import Equivariance

    options = option_words({"plugin": plugin, "images": images})
    folders = results or [Path("results")]
    found = [find_record(folders, run_id) for run_id in run or []]
    files = [model.plugin for model in [*(models.info(*pair) for pair in pairs), *map(model_of, found)]]
    session, asked = KeepGoing(records or folders[0]), []
    check_writable(session.records, "--results" if records is None else "--records")
    for name, on in pairs:
        command = shlex.join(["bench", "equivariance", "--model", name, "--task", on, "--seed", str(seed), *options])
        wanted = {"model": name, "task": on, "seed": seed, "count": images, "command": command}
        asked.append((on, name, name_at_initialisation(name, on, seed), "at_initialisation", wanted))
    for record in found:
        command = shlex.join(["bench", "equivariance", "--run", record.run_id, *options])
        folder = folder_with_weights(folders, record.run_id)
        wanted = {"results": folder, "record": record, "count": images, "command": command}
        asked.append((record.task, record.model, record.run_id, "after_training", wanted))
    for (on, name, called, function, wanted), file in zip(asked, files, strict=True):
        if not session.measured_already("equivariance", on, name, called):
            code = f"bench.measure.equivariance_record:{function}"
            call = partial(isolated, Equivariance, f"measuring {name} on {on}", code, file, **wanted)
            if (measured := session.measure(call)) is not None:
                _print(measured)
    return session.exit_code


def _print(measured: Equivariance) -> None:
    print(f"{measured.model} {measured.task}, {measured.state}: squared relative error by factor; last, of a shift")
    factors = " ".join(f"{factor:>7.3g}" for factor in measured.factors)
    print(f"  {'':<18} {factors} {'shift':>8}")
    for layer in (*measured.layers, measured.network):
        errors = " ".join(f"{error:>7.3f}" for error in layer.scale)
        print(f"  {layer.name:<18} {errors} {layer.translation:>8.1e}", flush=True)
    known = (
        ["layers are what goes into the skeleton's poolings, or its blocks: docs/equivariance.md"] if measured.layers else []
    )
    for note in measured.notes or known:
        print(f"  {note}", flush=True)
