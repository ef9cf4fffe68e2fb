"""`bench run`: train what is asked for, skip what is done, leave records and a board."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import torch

    from bench.plan import Run
    from bench.scheduling.estimate import Estimates
    from bench.scheduling.session import Work
    from bench.scheduling.stop import StopRequest
    from leaderboard.records.store import Hardware

MOST = 2**31 - 1


def run(
    everything: Annotated[bool, typer.Option("--all", help="Every model on every task.")] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Model name or glob; options as NAME@OPTION=VALUE. Repeatable.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task name or glob. Repeatable.")] = None,
    plan: Annotated[str | None, typer.Option(help="A named study, see `bench list plans`.")] = None,
    realizations: Annotated[str | None, typer.Option(help="E.g. 0-5 or 0,2. Default: the protocol's.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="quick, paper, or a YAML file. Default: paper on CUDA, else quick.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    results: Annotated[Path, typer.Option(help="Where records, checkpoints and the board of these runs go.")] = Path("results"),
    plugin: Annotated[list[Path] | None, typer.Option(help="A Python file that registers models. Repeatable.")] = None,
    time_budget: Annotated[str | None, typer.Option(help="Stop cleanly after this time, e.g. 9m; run again to go on.")] = None,
    batch_split: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="stl10+: send each batch through the network in so many parts, to save memory."),
    ] = None,
    compiled: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Train the network through torch.compile.")
    ] = None,
    cuda_graph: Annotated[
        bool | None,
        typer.Option("--cuda-graph/--no-cuda-graph", help="Replay training steps as CUDA graphs. Default on CUDA."),
    ] = None,
    evaluation_batch: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Images at a time in validation and test. Default: by device and image size."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, ray (extra [ray]) or slurm (extra [slurm]).")] = "local",
    jobs: Annotated[
        str | None,
        typer.Option(
            help="local: processes side by side, on the GPUs in turn (default: 1, or one per GPU); auto: as many as a short "
            "trial on the GPU finds to pay. slurm: jobs."
        ),
    ] = None,
    address: Annotated[str | None, typer.Option(help="ray: an existing cluster, e.g. auto. Default: a local one.")] = None,
    gpus_per_run: Annotated[
        float | None, typer.Option(min=0, help="ray, slurm: e.g. 0.25. Default: 1, or 0 without CUDA.")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="slurm: KEY=VALUE for submitit, e.g. timeout_min=60. Repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which runs there are, which are done, and the cost.")
    ] = False,
) -> int:
    """Run models on tasks. Finished runs are skipped, interrupted ones continued."""
    from bench.plan import match_models, match_tasks, parse_realizations, plan_runs
    from bench.protocol import load_protocol
    from bench.scheduling.stop import StopRequest, parse_duration

    # What needs no torch comes first: a mistyped name is answered at once.
    stop = StopRequest(None if time_budget is None else parse_duration(time_budget))
    stop.listen()
    _load_plugins(plugin or [])
    parts, planned_realizations = _what(everything, model, task, plan)
    chosen = None if protocol is None else load_protocol(protocol)
    numbers = None if realizations is None else parse_realizations(realizations)
    for part in parts:
        match_models(part.models, match_tasks(part.tasks))

    from bench.commands import option_words, with_options
    from bench.machine.device import choose_device
    from bench.machine.hardware import describe_hardware
    from bench.scheduling import other_code
    from bench.scheduling.engines.choose import EngineOptions, check_engine, make_engine, parse_jobs
    from bench.scheduling.estimate import estimates_from, newer_records, read_results
    from bench.scheduling.session import work

    options = EngineOptions(engine, parse_jobs(jobs), address, gpus_per_run, slurm or [], stop)
    check_engine(options)
    chosen_device = choose_device(device)
    why = "as asked"
    if chosen is None:
        kind = "cuda" if options.gpus(chosen_device) else chosen_device.type
        protocol = "paper" if kind == "cuda" else "quick"
        chosen, why = load_protocol(protocol), f"the default on {kind}; another: --protocol NAME"
    if numbers is None:
        numbers = chosen.realizations if planned_realizations is None or chosen.smoke else planned_realizations
    execution = {
        "batch_split": batch_split,
        "compile": compiled,
        "cuda_graph": cuda_graph,
        "evaluation_batch": evaluation_batch,
    }
    chosen = chosen.with_settings(**execution)
    repeat = option_words({"protocol": protocol, "plugin": plugin, **execution})
    runs = plan_runs(parts, numbers, chosen, tuple(repeat))
    _check(runs, chosen_device, results, on_cuda=chosen_device.type == "cuda" or options.gpus(chosen_device) > 0)

    hardware = describe_hardware(chosen_device)
    records = read_results(results)
    estimates = estimates_from(results, records, hardware.name)
    done = other_code.done(runs, records)
    newer = newer_records((run for run in runs if run.id not in done), results)
    runs = [run for run in runs if run.id not in newer]
    todo = [run for run in runs if run.id not in done]
    print(f"protocol {chosen.name}: {chosen.summary} ({why})")
    if chosen.smoke:
        print("this is a smoke protocol: it shows that everything runs; its errors compare with nothing")
    print("\n".join([_cost_line(runs, todo, estimates, hardware), *other_code.other_code(runs, records)]))
    if dry_run:
        _print_runs(runs, done, estimates, results)
        return 0
    chosen_engine = make_engine(options, chosen_device, results)
    here: dict[str, object] = {"results": results, "device": device, "engine": engine, "jobs": jobs}
    here |= {"address": address, "gpus_per_run": gpus_per_run, "slurm": slurm}
    commands = {run.id: with_options(run.command, here) for run in todo}
    return _report(work(todo, chosen_engine, results, estimates, stop), results, stop, commands) or int(bool(newer))


def _check(runs: Sequence[Run], device: torch.device, results: Path, *, on_cuda: bool) -> None:
    """Raises BenchError: a run that cannot be done as its recipe says, or not be recorded."""
    from bench.machine.device import has_tf32
    from bench.record import check_frames
    from bench.settings import check_settings

    check_settings(runs, on_cuda=on_cuda, tf32=has_tf32(device) if device.type == "cuda" else on_cuda)
    check_frames(runs, results)


def _load_plugins(plugins: Sequence[Path]) -> None:
    import models

    for plugin in plugins:
        print(f"plugin {plugin}: {', '.join(models.load_plugin(plugin))}")


def _what(
    everything: bool, model: list[str] | None, task: list[str] | None, plan: str | None
) -> tuple[list[Any], list[int] | None]:
    from bench.errors import BenchError
    from bench.plan import PlanPart, load_plan

    if plan is not None:
        if everything or model or task:
            raise BenchError("--plan names its own models and tasks; leave out --all, --model and --task")
        study = load_plan(plan)
        return list(study.runs), study.realizations
    if everything and (model or task):
        raise BenchError("--all means every model and task; leave it out to choose with --model and --task")
    if not (everything or model or task):
        raise BenchError("say what to run: --all, --model NAME, --task NAME or --plan NAME (see `bench list models`)")
    return [PlanPart(models=model or ["*"], tasks=task or ["*"])], None


def _cost_line(runs: list[Run], todo: list[Run], estimates: Estimates, hardware: Hardware) -> str:
    from bench.scheduling.estimate import clock_text

    known = estimates.covers(todo)
    basis = f"from earlier records of {known} of them" if known else "no earlier records to judge by"
    expected = f"expected: {clock_text(estimates.total(todo))} ({basis})" if todo else "nothing to do"
    return (
        f"{len(runs)} runs, {len(runs) - len(todo)} already done, {len(todo)} to do on {hardware.name} "
        f"({hardware.threads} threads); {expected}"
    )


def _print_runs(runs: list[Run], done: set[str], estimates: Estimates, results: Path) -> None:
    from bench.scheduling.estimate import clock_text
    from bench.training.state.checkpoint import runs_begun

    begun = runs_begun(results)
    for run in runs:
        state = "done" if run.id in done else "begun" if run.id in begun else "to do"
        print(f"{state:<6} {clock_text(estimates.seconds(run)):>12}  {run.id}")


def _report(done: Work, results: Path, stop: StopRequest, commands: Mapping[str, str]) -> int:
    """`commands`: what repeats each run in this place, where its record holds what repeats it anywhere."""
    from bench.scheduling.stop import MORE_TO_DO

    print(f"board: {results / 'LEADERBOARD.md'}")
    for record in done.bad:
        print(f"{record.status}: {record.run_id}; to repeat: {commands[record.run_id]}", file=sys.stderr)
    if done.stopped:
        print(f"stopped ({stop.reason}); what is done is saved, the same command goes on from here", file=sys.stderr)
        return MORE_TO_DO
    return 1 if done.bad else 0
