"""What `bench time` leaves behind: raw samples of one model on one device, with the device's own limits and state beside them.

A timing is *tainted* when something else may have slowed it down, or when its numbers cannot be true; it is kept and never
compared. Two timings ran the same code when their ``own_code`` is the same.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from leaderboard.records.measurement import Measurement
from leaderboard.records.schema import Amount, Count, Positive, PositiveCount, Precision, Strict, Text

Samples = Annotated[list[Amount], Field(min_length=1)]

OTHERS_ALLOWED = 0.05  # of the processors' time, by others: more taints a timing


class DeviceState(Strict):
    """A graphics card at one moment, as its driver says; None where it does not."""

    when: Literal["before", "busy", "after"]
    clocks_mhz: dict[str, Count] | None
    temperature_celsius: Amount | None
    power_cap_watts: Amount | None
    default_power_cap_watts: Amount | None
    throttle_reasons: list[Text] | None
    other_processes: Count | None


class CodeTimed(Strict):
    """Hashes of the code that a step runs: of this model, and of the plain network (``cnn``) on the same task at the time."""

    model: Text
    plain: Text


class Timing(Measurement):
    """Seconds per call, raw, after the calls that ``warm_up`` leaves out.

    ``step``: forward, backward, optimizer. ``inference``: a batch without gradients. ``latency``: the same for one image.
    ``graph_step``: the step replayed as a CUDA graph. ``compiled_step``: through torch.compile, of which the first step took
    ``compile_seconds``. ``step_operations`` and ``step_bytes`` are counted, ``matmul_rate`` (operations/s) and ``copy_rate``
    (bytes/s) measured in the same process. ``background_load``: the part of the processors that other processes used meanwhile
    (``others_share`` in the file). ``tainted`` says what was known against the timing when it was made; ``taints`` is all that
    is known against it. ``code`` is None in timings from before there was the field: their commit says what ran.
    """

    kind: Literal["timings"] = "timings"
    batch_size: PositiveCount
    precision: Precision
    warm_up: Text
    step_seconds: Samples
    inference_seconds: Samples
    latency_seconds: Samples
    graph_step_seconds: Samples | None
    compile_seconds: Amount | None
    compiled_step_seconds: Samples | None
    peak_memory_bytes: Count | None
    step_operations: Count
    step_bytes: Count
    matmul_rate: Positive
    copy_rate: Positive
    states: list[DeviceState]
    background_load: Annotated[
        Amount | None,
        Field(validation_alias=AliasChoices("others_share", "background_load"), serialization_alias="others_share"),
    ]
    tainted: list[Text]
    notes: list[Text]
    code: CodeTimed | None = None

    @property
    def step(self) -> float:
        """Median seconds of a training step."""
        return statistics.median(self.step_seconds)

    @property
    def matmul_fraction(self) -> float:
        """Counted operations per second of the step, as a fraction of a large matrix product's."""
        return _fraction(self.step_operations, self.step, self.matmul_rate)

    @property
    def copy_fraction(self) -> float:
        """Counted bytes per second of the step, as a fraction of a large copy's."""
        return _fraction(self.step_bytes, self.step, self.copy_rate)

    @property
    def taints(self) -> list[str]:
        """Why it must not be compared, in whole: what was known when it was made, and what its numbers say against it."""
        return [*self.tainted, *(reason for reason in _contradictions(self) if reason not in self.tainted)]

    @property
    def own_code(self) -> str:
        """What the model's step ran: a hash of the code, or the commit. Unknown: equal to no other timing's."""
        return self.code.model if self.code else self._commit

    @property
    def plain_code(self) -> str:
        """What the plain network's step would have run at the time, as ``own_code``: it tells the layers' versions apart."""
        return self.code.plain if self.code else self._commit

    @property
    def _commit(self) -> str:
        software = self.software
        known = software.git_commit and software.git_dirty is False
        return f"commit {software.git_commit}" if known else f"unknown, {self.name}"


def _fraction(amount: int, seconds: float, rate: float) -> float:
    return amount / seconds / rate if seconds else math.inf


def _contradictions(timing: Timing) -> list[str]:
    """What cannot be true: a step faster than the device, than its own forward pass, or than a clock can tell."""
    found = []
    samples = {
        "step": timing.step_seconds,
        "inference": timing.inference_seconds,
        "latency": timing.latency_seconds,
        "step as a CUDA graph": timing.graph_step_seconds,
        "compiled step": timing.compiled_step_seconds,
    }
    for what, seconds in samples.items():
        if seconds and min(seconds) <= 0:
            found.append(f"{what}: a sample of 0 s")
    for what in ("step", "step as a CUDA graph", "compiled step"):
        median = statistics.median(samples[what] or [math.inf])
        operations = _fraction(timing.step_operations, median, timing.matmul_rate)
        copied = _fraction(timing.step_bytes, median, timing.copy_rate)
        if operations > 1:
            found.append(f"{what}: counted operations at {operations:.0%} of the rate of a large matrix product")
        if copied > 1 and what != "compiled step":  # fused, it moves fewer bytes than were counted
            found.append(f"{what}: counted bytes at {copied:.0%} of the rate of a large copy")
    forward = statistics.median(timing.inference_seconds)
    if timing.step < forward:
        found.append(f"the step, which holds a forward pass, took less than inference ({timing.step:.3g} s, {forward:.3g} s)")
    return found


@dataclass(frozen=True)
class Quartiles:
    """The median of n samples and the quartiles about it, in the samples' own unit."""

    low: float
    median: float
    high: float
    n: int


def quartiles(samples: list[float]) -> Quartiles:
    """Quartiles of one or more samples, by linear interpolation between them."""
    if len(samples) == 1:
        return Quartiles(samples[0], samples[0], samples[0], 1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Quartiles(low, median, high, len(samples))
