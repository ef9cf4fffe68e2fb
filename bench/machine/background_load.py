"""Whether a device was left alone while something was timed on it, and why not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import psutil
import torch

from bench.errors import best_effort
from bench.machine.nvml import card_state
from leaderboard.records.timing import OTHERS_ALLOWED, DeviceState

# Why a card may run below its highest clocks without being held back: nothing to do, or clocks that somebody set.
HARMLESS = {"GpuIdle", "ApplicationsClocksSetting", "UserDefinedClocks"}


class BackgroundLoad:
    """From its making on, how much of the processors' time other processes, or other guests of the host, use."""

    def __init__(self) -> None:
        self.began, self.at_first = time.perf_counter(), best_effort(_background_seconds)

    def share(self) -> float | None:
        """Between 0 and 1, of all processors' time until now; None where the system does not tell."""
        now = best_effort(_background_seconds)
        if now is None or self.at_first is None:
            return None
        share: float = (now - self.at_first) / (time.perf_counter() - self.began) / (psutil.cpu_count() or 1)
        return min(1.0, max(0.0, share))


def _background_seconds() -> float:
    """Processor seconds, in sum since the machine's start, that are not this process's."""
    everyone, own = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = sum(getattr(everyone, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
    return float(busy - own.user - own.system)


def gpu_state(device: torch.device, when: Literal["before", "busy", "after"]) -> DeviceState:
    """The card's state now, None for what the driver does not say."""
    state = card_state(device)
    return DeviceState(when=when, **{name: state[name] for name in DeviceState.model_fields if name != "when"})


def taints(states: Sequence[DeviceState], background_load: float | None) -> list[str]:
    """Everything that may have slowed a timing down, one line each. `background_load` is None where it does not matter."""
    found = []
    if background_load is not None and background_load > OTHERS_ALLOWED:
        found.append(f"other processes used {background_load:.0%} of the processors")
    for state in states:
        if state.other_processes is None or state.throttle_reasons is None:
            found.append(f"{state.when}: the driver does not say who else is on the card, or whether it is held back")
        if state.other_processes:
            found.append(f"{state.when}: {state.other_processes} other processes on the card")
        held_back = set(state.throttle_reasons or ()) - HARMLESS
        if held_back:
            found.append(f"{state.when}: the card was held back ({', '.join(sorted(held_back))})")
        cap, default = state.power_cap_watts, state.default_power_cap_watts
        if cap is not None and default is not None and cap < default:
            found.append(f"{state.when}: power cap {cap:.0f} W, the card's own is {default:.0f} W")
    return found
