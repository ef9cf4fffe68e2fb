"""What `bench run` was asked for, and the runs that this makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands import option_words
from bench.compatibility import check_runs
from bench.errors import BenchError
from bench.plan import PlanPart, Run, load_plan, match_models, match_tasks, parse_realizations, plan_runs
from bench.protocol import Protocol, load_protocol
from bench.record import check_frames

if TYPE_CHECKING:
    import torch

    from bench.scheduling.engines.options import EngineOptions

RECIPE = ("batch_split", "compile", "cuda_graph", "evaluation_batch")  # settings that may be options: they change rounding only
# Where a run is done, not what it is.
PLACE = ("results", "records", "anew", "device", "engine", "jobs", "address", "gpus_per_run", "slurm")


@dataclass(frozen=True)
class RunRequest:
    """The options of `bench run` as they were typed; None: not given."""

    everything: bool
    model: Sequence[str] | None
    task: Sequence[str] | None
    plan: str | None
    realizations: str | None
    protocol: str | None
    device: str
    results: Path
    plugin: Sequence[Path] | None
    time_budget: str | None
    batch_split: int | None
    compile: bool | None
    cuda_graph: bool | None
    evaluation_batch: int | None
    engine: str
    jobs: str | None
    address: str | None
    gpus_per_run: float | None
    slurm: Sequence[str] | None
    dry_run: bool
    records: Sequence[Path] | None = None
    anew: bool = False

    def options(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of these names."""
        return {name: getattr(self, name) for name in names}

    def engine_options(self) -> EngineOptions:
        """Raises BenchError: no such engine, its package is missing, or an option is for another engine or out of range."""
        from bench.scheduling.engines.options import EngineOptions, check_engine, parse_jobs  # takes torch

        jobs, slurm = parse_jobs(self.jobs), self.slurm or []
        options = EngineOptions(self.engine, jobs, self.address, self.gpus_per_run, slurm)
        check_engine(options)
        return options


@dataclass(frozen=True)
class Selection:
    """What is to be run; every name in it is known. `plan_realizations`: those of a named plan."""

    parts: Sequence[PlanPart]
    protocol: Protocol | None
    realizations: Sequence[int] | None
    plan_realizations: Sequence[int] | None


def select(request: RunRequest) -> Selection:
    """Look up what was named. Raises BenchError, ModelError: there is none such, or options contradict each other."""
    parts, plan_realizations = _parts(request)
    protocol = None if request.protocol is None else load_protocol(request.protocol)
    realizations = None if request.realizations is None else parse_realizations(request.realizations)
    for part in parts:
        match_models(part.models, match_tasks(part.tasks))
    return Selection(parts, protocol, realizations, plan_realizations)


def _parts(request: RunRequest) -> tuple[list[PlanPart], list[int] | None]:
    everything, chosen = request.everything, request.model or request.task
    if request.plan is not None:
        if everything or chosen:
            raise BenchError("--plan names its own models and tasks; leave out --all, --model and --task")
        study = load_plan(request.plan)
        return study.runs, study.realizations
    if everything and chosen:
        raise BenchError("--all means every model and task; leave it out to choose with --model and --task")
    if not (everything or chosen):
        raise BenchError("say what to run: --all, --model NAME, --task NAME or --plan NAME (see `bench list models`)")
    return [PlanPart(models=list(request.model or ["*"]), tasks=list(request.task or ["*"]))], None


def runs_of(request: RunRequest, selection: Selection, device: torch.device, gpus: float) -> tuple[list[Run], Protocol, str]:
    """The runs, under which protocol, and why that one. `gpus`: how much of one each run gets, wherever it is done.

    Raises BenchError: a run that cannot be done as its recipe says, or not be recorded in the results folder.
    """
    protocol, name, why = selection.protocol, request.protocol, "as asked"
    if protocol is None:
        kind = "cuda" if gpus else device.type
        name = "paper" if kind == "cuda" else "quick"
        protocol, why = load_protocol(name), f"the default on {kind}; another: --protocol NAME"
    of_plan = None if protocol.smoke else selection.plan_realizations
    realizations = selection.realizations or of_plan or protocol.realizations
    protocol = protocol.with_settings(**request.options(RECIPE))
    repeat = option_words({"protocol": name, "plugin": request.plugin, **request.options(RECIPE)})
    runs = plan_runs(selection.parts, realizations, protocol, tuple(repeat))

    from bench.machine.device import has_tf32  # takes torch

    on_cuda = device.type == "cuda" or gpus > 0
    check_runs(runs, on_cuda=on_cuda, tf32=has_tf32(device) if device.type == "cuda" else on_cuda)
    check_frames(runs, request.results)
    return runs, protocol, why
