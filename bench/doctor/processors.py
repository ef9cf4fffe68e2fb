"""Processors: how many of them a run may use, how many it will, and who else is on them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from bench.doctor import cards
from bench.doctor.finding import Finding
from bench.errors import best_effort
from leaderboard.records.timing import OTHERS_ALLOWED

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
SECONDS = 0.3  # over which others are watched
MEMORY = 4e9  # bytes that a run of the larger networks takes


def threads() -> Iterator[Finding]:
    """Whether torch uses as many threads as there are processors for this process."""
    usable, used = usable_processors(), best_effort(lambda: cards.probed()["torch"]["threads"])
    given = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    of = f"{usable} of {os.cpu_count()}" if usable != os.cpu_count() else str(usable)
    why = f" ({', '.join(given)})" if given else ""
    if used is None:
        yield Finding("ok", "processors", f"{of} for this process{why}")
    elif used > usable:
        text = f"torch takes {used} threads{why}, and this process may use {of} processors: runs are slower than with {usable}"
        yield Finding("look", "processors", text, f"export OMP_NUM_THREADS={usable}")
    elif used < usable and given:
        text = f"torch takes {used} threads{why} of the {of} processors for this process"
        names = ", ".join(name for name in VARIABLES if name in os.environ)
        yield Finding("look", "processors", text, f"unset {names}, unless runs are done side by side")
    else:
        yield Finding("ok", "processors", f"{of} for this process, {used} threads of torch's{why}")


def usable_processors() -> int:
    """What the scheduler and a container's quota allow this process, in whole processors, at least one."""
    allowed: int = best_effort(lambda: len(os.sched_getaffinity(0))) or os.cpu_count() or 1
    quota: float = best_effort(_quota, otherwise=math.inf)
    return max(1, math.floor(min(allowed, quota)))


def _quota() -> float:
    """Processors that the container may use. Raises OSError, ValueError: it has no limit, or does not say."""
    of, period = QUOTA.read_text("ascii").split()
    return float(of) / float(period)


def others() -> Iterator[Finding]:
    """Who else uses the processors and the memory now."""
    import psutil

    share = psutil.cpu_percent(SECONDS) / 100
    if share > OTHERS_ALLOWED:
        text = f"other processes use {share:.0%} of the processors now: timings made beside them are in no table"
        yield Finding("look", "processors", text, "wait, or end them, before `bench time`")
    free = psutil.virtual_memory().available
    if free < MEMORY:
        text = f"{free / 1e9:.1f} GB are free; runs of the larger networks take more"
        yield Finding("look", "memory", text, "end what uses it, or have fewer runs side by side (--jobs)")
    else:
        yield Finding("ok", "memory", f"{free / 1e9:.0f} GB free")
