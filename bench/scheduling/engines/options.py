"""What an engine is, and how one comes from the options on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import torch

from bench.errors import BenchError, best_effort
from bench.plan import Run
from bench.scheduling.display import Display
from bench.scheduling.driver import Records
from bench.scheduling.engines.local import Local
from bench.scheduling.estimate import Estimates
from bench.scheduling.stop import StopRequest
from models.errors import suggestion

ENGINES = ("local", "ray", "slurm")
MOST_GPUS = 64  # more has no machine
PACKAGES = {"ray": "ray", "slurm": "submitit"}


class Engine(Protocol):
    """Where runs are done."""

    has_own_data: bool  # its machines fetch and build their data themselves

    def run(self, runs: Sequence[Run], estimates: Estimates, stop: StopRequest, display: Display) -> Records:
        """Do the runs; each one's record comes once it is on disk, whoever did the run.

        Raises Stopped when `stop` asks for it, with the states of the runs in hand saved; BenchError: no run can be done.
        """


@dataclass(frozen=True)
class EngineOptions:
    """The options of `bench run` that concern engines."""

    name: str
    jobs: int | Literal["auto"] | None
    address: str | None
    gpus_per_run: float | None
    slurm: Sequence[str]

    def gpus(self, device: torch.device) -> float:
        """How much of a GPU a run gets."""
        return self.gpus_per_run if self.gpus_per_run is not None else float(device.type == "cuda")


def parse_jobs(text: str | None) -> int | Literal["auto"] | None:
    """'4' or 'auto'. Raises BenchError: neither."""
    if text is None or text == "auto":
        return None if text is None else "auto"
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise BenchError(f"--jobs {text[:20]!r}: give a number from 1, or auto for as many as pay on one GPU")
    return int(text)


def check_engine(options: EngineOptions) -> None:
    """Raises BenchError: no such engine, its package is missing, or an option is for another engine or out of range."""
    name = options.name
    if name not in ENGINES:
        raise BenchError(f"unknown engine {name!r}{suggestion(name, ENGINES)}; engines: {', '.join(ENGINES)}")
    package = PACKAGES.get(name)
    if package is not None and best_effort(find_spec, package) is None:
        raise BenchError(f"the engine {name} needs {package}; install it: pip install 'equiscale[{name}]'")
    given = {
        "--jobs": (options.jobs, ("local", "slurm")),
        "--address": (options.address, ("ray",)),
        "--gpus-per-run": (options.gpus_per_run, ("ray", "slurm")),
        "--slurm": (options.slurm or None, ("slurm",)),
    }
    for option, (value, engines) in given.items():
        if value is not None and name not in engines:
            raise BenchError(f"{option} is for --engine {' or '.join(engines)}, not for {name}; leave it out")
    if options.gpus_per_run is not None and not 0 <= options.gpus_per_run <= MOST_GPUS:
        raise BenchError(f"--gpus-per-run {options.gpus_per_run:g}: give a number from 0 to {MOST_GPUS}, such as 0.25 or 1")
    if name == "slurm":
        from bench.scheduling.engines.slurm_settings import check_cluster, parse_settings

        check_cluster(parse_settings(options.slurm))
    if options.jobs == "auto" and name != "local":
        raise BenchError(f"--jobs auto is for --engine local, not for {name}; give a number")


def make_engine(options: EngineOptions, device: torch.device, results: Path) -> Engine:
    """Start or join what the engine needs. Raises BenchError: it cannot be reached, or an option is wrong."""
    if options.name == "ray":
        from bench.scheduling.engines.ray import RayCluster

        return RayCluster(results, options.gpus(device), options.address)
    if options.name == "slurm":
        from bench.scheduling.engines.slurm import Slurm

        jobs = options.jobs if isinstance(options.jobs, int) else 1
        return Slurm(results, jobs, options.gpus(device), options.slurm)
    return Local(device, results, options.jobs)
