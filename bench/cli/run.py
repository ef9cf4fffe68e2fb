"""`bench run`: train what is asked for, skip what is done, leave records and a board."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bench.cli.options import LARGEST, Device, Plugin, Task

if TYPE_CHECKING:
    import torch

    from bench.plan import Run
    from bench.request import RunRequest
    from bench.scheduling.elsewhere import Elsewhere
    from bench.scheduling.estimate import Estimates
    from bench.scheduling.session import Outcome
    from bench.scheduling.stop import StopRequest


def run(
    everything: Annotated[bool, Option("--all", help="Every model on every task.")] = False,
    model: Annotated[list[str] | None, Option(help="Model name or glob; options as NAME@OPTION=VALUE. Repeatable.")] = None,
    task: Task = None,
    plan: Annotated[str | None, Option(help="A named study, see `bench list plans`.")] = None,
    realizations: Annotated[str | None, Option(help="E.g. 0-5 or 0,2. Default: the protocol's.")] = None,
    protocol: Annotated[
        str | None, Option(help="Its name, see `bench list protocols`, or a YAML file. Default: paper on CUDA, else quick.")
    ] = None,
    device: Device = "auto",
    results: Annotated[Path, Option(help="Where records, checkpoints and the board of these runs go.")] = Path("results"),
    records: Annotated[
        list[Path] | None,
        Option(
            help="Folder whose finished runs count as done, smoke tests left out. Repeatable. Default: records, if it is there."
        ),
    ] = None,
    anew: Annotated[bool, Option("--anew", help="Only the runs in --results count as done.")] = False,
    plugin: Plugin = None,
    time_budget: Annotated[str | None, Option(help="Stop cleanly after this time, e.g. 9m; run again to resume.")] = None,
    batch_split: Annotated[
        int | None,
        Option(min=1, max=LARGEST, help="stl10+: send each batch through the network in so many parts, to save memory."),
    ] = None,
    compiled: Annotated[bool | None, Option("--compile/--no-compile", help="Train the network through torch.compile.")] = None,
    cuda_graph: Annotated[
        bool | None,
        Option("--cuda-graph/--no-cuda-graph", help="Replay training steps as CUDA graphs. Default on CUDA."),
    ] = None,
    evaluation_batch: Annotated[
        int | None,
        Option(min=1, max=LARGEST, help="Images at a time in validation and test. Default: by device and image size."),
    ] = None,
    engine: Annotated[str, Option(help="local, ray (extra [ray]) or slurm (extra [slurm]).")] = "local",
    jobs: Annotated[
        str | None,
        Option(
            help="local: processes side by side, on the GPUs in turn (default: 1, or one per GPU); auto: as many as a short "
            "trial on the GPU finds to pay. slurm: jobs."
        ),
    ] = None,
    address: Annotated[str | None, Option(help="ray: an existing cluster, e.g. auto. Default: a local one.")] = None,
    gpus_per_run: Annotated[float | None, Option(min=0, help="ray, slurm: e.g. 0.25. Default: 1, or 0 without CUDA.")] = None,
    slurm: Annotated[
        list[str] | None,
        Option(help="slurm: KEY=VALUE for submitit, e.g. timeout_min=60. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say which runs there are, which are done, and the cost.")] = False,
) -> int:
    """Run models on tasks. Finished runs are skipped, interrupted ones continued."""
    from bench.request import RunRequest

    request = RunRequest(
        everything=everything, model=model, task=task, plan=plan, realizations=realizations, protocol=protocol, device=device,
        results=results, plugin=plugin, time_budget=time_budget, batch_split=batch_split, compile=compiled,
        cuda_graph=cuda_graph, evaluation_batch=evaluation_batch, engine=engine, jobs=jobs, address=address,
        gpus_per_run=gpus_per_run, slurm=slurm, dry_run=dry_run, records=records, anew=anew,
    )  # fmt: skip
    return carry_out(request)


def carry_out(request: RunRequest) -> int:
    """Do what is asked and say so on screen; the exit code."""
    import models
    from bench.commands import with_options
    from bench.request import PLACE, runs_of, select
    from bench.scheduling.elsewhere import folders_elsewhere, read_elsewhere
    from bench.scheduling.stop import StopRequest, parse_duration

    # What takes no device comes first: a mistyped name is answered at once.
    stop = StopRequest(None if request.time_budget is None else parse_duration(request.time_budget))
    stop.listen()
    for plugin in request.plugin or ():
        print(f"plugin {plugin}: {', '.join(models.load_plugin(plugin))}")
    selection = select(request)
    folders = folders_elsewhere(request.records, request.results, request.anew)

    from bench.machine.device import choose_device
    from bench.scheduling.engines.options import make_engine
    from bench.scheduling.session import do_runs

    options, device = request.engine_options(), choose_device(request.device)
    asked, protocol, why = runs_of(request, selection, device, options.gpus(device))
    print(f"protocol {protocol.name}: {protocol.summary} ({why})")
    if protocol.smoke:
        print("this is a smoke protocol: it shows that everything runs; its errors compare with nothing")
    elsewhere = read_elsewhere(folders)
    runs, done, estimates = _look_ahead(asked, request.results, elsewhere, device)
    if request.dry_run:
        _print_runs(runs, done, estimates, request.results)
        return 0
    engine = make_engine(options, device, request.results)
    todo = [run for run in runs if run.id not in done]
    commands = {run.id: with_options(run.command, request.options(PLACE)) for run in todo}
    ended = do_runs(todo, engine, request.results, estimates, stop, lambda own: elsewhere.beside(runs, own))
    return _report(ended, request.results, stop, commands) or int(len(runs) < len(asked))


def _look_ahead(
    asked: Sequence[Run], results: Path, elsewhere: Elsewhere, device: torch.device
) -> tuple[list[Run], Set[str], Estimates]:
    """Say what there is to do and how long it takes; the runs without those that a newer equiscale has, and which are done."""
    from bench.machine.hardware import describe_hardware
    from bench.scheduling import done_runs
    from bench.scheduling.elsewhere import note_on
    from bench.scheduling.estimate import clock_text, estimates_from

    hardware, records = describe_hardware(device), done_runs.read_results(results)
    estimates = estimates_from([results, *elsewhere.folders], [*records, *elsewhere.records], hardware.name)
    here = done_runs.done(asked, records)
    there = elsewhere.done(run for run in asked if run.id not in here)
    done = here | there.keys()
    newer = done_runs.newer_records((run for run in asked if run.id not in done), results)
    runs = [run for run in asked if run.id not in newer]
    todo = [run for run in runs if run.id not in done]
    known = estimates.covers(todo)
    basis = f"from earlier records of {known} of them" if known else "no earlier records to judge by"
    expected = f"expected: {clock_text(estimates.total(todo))} ({basis})" if todo else "nothing to do"
    print(
        f"{len(runs)} runs, {len(runs) - len(todo)} already done, {len(todo)} to do on {hardware.name} "
        f"({hardware.threads} threads); {expected}"
    )
    if there:
        print(note_on(there, len(runs), elsewhere.folders))
    for note in done_runs.notes_on_other_code([run for run in runs if run.id not in there], [*records, *elsewhere.counted]):
        print(note)
    return runs, done, estimates


def _print_runs(runs: Sequence[Run], done: Set[str], estimates: Estimates, results: Path) -> None:
    from bench.results import runs_begun
    from bench.scheduling.estimate import clock_text

    begun = runs_begun(results)
    for run in runs:
        state = "done" if run.id in done else "begun" if run.id in begun else "to do"
        print(f"{state:<6} {clock_text(estimates.seconds(run)):>12}  {run.id}")


def _report(done: Outcome, results: Path, stop: StopRequest, commands: Mapping[str, str]) -> int:
    """`commands`: what repeats each run in this place, where its record holds what repeats it anywhere."""
    from bench.scheduling.stop import MORE_TO_DO

    count = done.from_elsewhere
    others = f" (with {count} run{'s' if count > 1 else ''} from elsewhere, under the same recipes)" if count else ""
    print(f"board: {results / 'LEADERBOARD.md'}{others}")
    for record in done.bad:
        print(f"{record.status}: {record.run_id}; to repeat: {commands[record.run_id]}", file=sys.stderr)
    if done.stopped:
        print(f"stopped ({stop.reason}); what is done is saved, the same command resumes", file=sys.stderr)
        return MORE_TO_DO
    return 1 if done.bad else 0
