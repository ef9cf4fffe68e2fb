"""What `bench time` has to time again on this device, and about how long it will take."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from bench.machine.hardware import describe_hardware
from bench.measure.timing import REPEATS, TimingConfig
from bench.step_code.stale import freshness
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing

START_SECONDS = 6.0  # of a process, with torch, the device's rates and the warm-ups
CALLS = 1.5  # inference and latency come to about half a step


def earlier_timings(roots: Sequence[Path], device: torch.device) -> list[Timing]:
    """The timings below some folders that were made on a device of this name and as many threads."""
    here = describe_hardware(device)
    threads = here.threads if here.device == "cpu" else None
    timings, _ = read_measurements(roots, Timing)
    return [t for t in timings if t.hardware.name == here.name and threads in (None, t.hardware.threads)]


def stale_configs(
    earlier: Iterable[Timing], device: torch.device, models: Sequence[str], tasks: Sequence[str]
) -> list[TimingConfig]:
    """What is not of today's code, the cheapest first, with the settings that it had. `models`: globs of names.

    A model that the suite itself does not have is left out.
    """
    found = []
    for one in freshness(earlier):
        timing = one.timing
        chosen = timing.task in tasks and any(fnmatchcase(timing.model, glob) for glob in models)
        if one.state == "fresh" or not one.known or not chosen:
            continue
        settings = timing.batch_size, timing.precision, len(timing.step_seconds), timing.compiled_step_seconds is not None
        together = "--together" in shlex.split(timing.command)
        found.append(TimingConfig(timing.model, timing.task, str(device), *settings, together=together))
    return found


class ToGo:
    """How long the rest of some timings will take: by the steps of earlier ones, corrected by what the first have taken."""

    def __init__(
        self, configs: Sequence[TimingConfig], earlier: Iterable[Timing], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        steps = {(t.model, t.task, t.batch_size): t.step for t in earlier}
        usual = sorted(steps.values())[len(steps) // 2] if steps else 1.0
        self.costs = [_cost(config, steps.get((config.model, config.task, config.batch_size), usual)) for config in configs]
        self.clock, self.began, self.done = clock, clock(), 0

    def after_one(self) -> float:
        """Seconds to go, now that another is done."""
        self.done += 1
        return sum(self.costs[self.done :]) * (self.clock() - self.began) / sum(self.costs[: self.done])


def _cost(config: TimingConfig, step: float) -> float:
    repeats = config.repeats or REPEATS["cuda" if config.device.startswith("cuda") else "cpu"]
    return START_SECONDS + CALLS * step * (repeats + 1)
