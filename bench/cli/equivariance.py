"""`bench equivariance`: how far networks are from scale and translation equivariance, at initialisation or after training."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leaderboard.records.equivariance import Equivariance


def equivariance(
    model: Annotated[list[str] | None, typer.Option(help="Model name or glob, measured at initialisation. Repeatable.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task name or glob. Repeatable.")] = None,
    run: Annotated[list[str] | None, typer.Option(help="Id of a finished run, measured with its weights. Repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the weights at initialisation.")] = 0,
    images: Annotated[
        int | None, typer.Option(min=1, max=50_000, help="How many images. Default: 32 digits or 4 photographs.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where the runs' records and weights are.")] = Path("results"),
    records: Annotated[Path | None, typer.Option(help="Where the measurements go. Default: as --results.")] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="A Python file that registers models. Repeatable.")] = None,
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
    for path in plugin or []:
        models.load_plugin(path)
    pairs = match_models(model or ["*"], match_tasks(task or ["*"])) if not run else []

    from bench.cli.measuring import Attempts
    from bench.machine.source import model_of, name_at_initialisation
    from bench.machine.writable import check_writable
    from bench.measure.apart import apart
    from bench.training.state.weights import find_run
    from leaderboard.records.equivariance import Equivariance

    out = results if records is None else records
    more = [word for path in plugin or [] for word in ("--plugin", str(path))]
    more += [] if images is None else ["--images", str(images)]
    found = [find_run(results, run_id) for run_id in run or []]
    files = [model.plugin for model in [*(models.info(*pair) for pair in pairs), *map(model_of, found)]]
    check_writable(out, "--results" if records is None else "--records")
    attempts, asked = Attempts(out), []
    for name, on in pairs:
        command = shlex.join(["bench", "equivariance", "--model", name, "--task", on, "--seed", str(seed), *more])
        wanted = {"model": name, "task": on, "seed": seed, "count": images, "command": command}
        asked.append((on, name, name_at_initialisation(name, on, seed), "at_initialisation", wanted))
    for record in found:
        command = shlex.join(["bench", "equivariance", "--run", record.run_id, *more])
        wanted = {"results": results, "record": record, "count": images, "command": command}
        asked.append((record.task, record.model, record.run_id, "after_training", wanted))
    for (on, name, called, function, wanted), file in zip(asked, files, strict=True):
        if not attempts.measured_already("equivariance", on, name, called):
            code = f"bench.measure.equivariance_record:{function}"
            call = partial(apart, Equivariance, f"measuring {name} on {on}", code, file, **wanted)
            if (measured := attempts.measure(call)) is not None:
                _say(measured)
    return attempts.exit_code


def _say(measured: Equivariance) -> None:
    print(f"{measured.model} {measured.task}, {measured.state}: squared relative error by factor; last, of a shift")
    factors = " ".join(f"{factor:>7.3g}" for factor in measured.factors)
    print(f"  {'':<18} {factors} {'shift':>8}")
    for layer in (*measured.layers, measured.network):
        errors = " ".join(f"{error:>7.3f}" for error in layer.scale)
        print(f"  {layer.name:<18} {errors} {layer.translation:>8.1e}", flush=True)
