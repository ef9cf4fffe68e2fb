"""`bench equivariance`: how far networks are from scale and translation equivariance, at initialisation or after training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leaderboard.equivariance import Equivariance


def equivariance(
    model: Annotated[list[str] | None, typer.Option(help="Model name or glob, measured at initialisation. Repeatable.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task name or glob. Repeatable.")] = None,
    run: Annotated[list[str] | None, typer.Option(help="Id of a finished run, measured with its weights. Repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights at initialisation.")] = 0,
    images: Annotated[int | None, typer.Option(min=1, help="How many images. Default: 32 digits or 4 photographs.")] = None,
    results: Annotated[Path, typer.Option(help="Where the runs' records and weights are.")] = Path("results"),
    records: Annotated[Path | None, typer.Option(help="Where the measurements go. Default: as --results.")] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="A Python file that registers models. Repeatable.")] = None,
) -> None:
    """Measure the equivariance error of every layer and of the logits, on the CPU. What is measured already is skipped."""
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

    from bench.equivariance_measurement import after_training, at_initialisation
    from bench.weights import find_run
    from leaderboard.measurements import measurement_path, write_measurement

    out = results if records is None else records
    more = [word for path in plugin or [] for word in ("--plugin", str(path))]
    more += [] if images is None else ["--images", str(images)]
    for name, on in pairs:
        if _is_new(measurement_path(out, "equivariance", on, name, f"initialisation-seed{seed}")):
            command = shlex.join(["bench", "equivariance", "--model", name, "--task", on, "--seed", str(seed), *more])
            _say(measured := at_initialisation(name, on, seed, images, command))
            write_measurement(out, measured)
    for record in [find_run(results, run_id) for run_id in run or []]:
        if _is_new(measurement_path(out, "equivariance", record.task, record.model, record.run_id)):
            command = shlex.join(["bench", "equivariance", "--run", record.run_id, *more])
            _say(measured := after_training(results, record, images, command))
            write_measurement(out, measured)


def _is_new(path: Path) -> bool:
    if path.exists():
        print(f"measured already: {path}")
    return not path.exists()


def _say(measured: Equivariance) -> None:
    print(f"{measured.model} {measured.task}, {measured.state}: squared relative error by factor; last, of a shift")
    factors = " ".join(f"{factor:>7.3g}" for factor in measured.factors)
    print(f"  {'':<18} {factors} {'shift':>8}")
    for layer in (*measured.layers, measured.network):
        errors = " ".join(f"{error:>7.3f}" for error in layer.scale)
        print(f"  {layer.name:<18} {errors} {layer.translation:>8.1e}", flush=True)
