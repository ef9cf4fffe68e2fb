"""What `bench time` leaves behind: raw samples of one model on one device, with the device's own limits and state beside them.

A timing is *tainted* when something else may have slowed it down; it is kept and never compared.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from leaderboard.records.measurement import Measurement
from leaderboard.records.schema import Amount, Count, Positive, PositiveCount, Precision, Strict, Text

Samples = Annotated[list[Amount], Field(min_length=1)]


class DeviceState(Strict):
    """A graphics card at one moment, as its driver says; None where it does not."""

    when: Literal["before", "busy", "after"]
    clocks_mhz: dict[str, Count] | None
    temperature_celsius: Amount | None
    power_cap_watts: Amount | None
    default_power_cap_watts: Amount | None
    throttle_reasons: list[Text] | None
    other_processes: Count | None


class Timing(Measurement):
    """Seconds per call, raw, after the calls that ``warm_up`` leaves out.

    ``step``: forward, backward, optimizer. ``inference``: a batch without gradients. ``latency``: the same for one image.
    ``graph_step``: the step replayed as a CUDA graph. ``compiled_step``: through torch.compile, of which the first step took
    ``compile_seconds``. ``step_operations`` and ``step_bytes`` are counted, ``matmul_rate`` (operations/s) and ``copy_rate``
    (bytes/s) measured in the same process. ``background_load``: the part of the processors that other processes used meanwhile
    (``others_share`` in the file). ``tainted`` says why the timing must not be compared; empty: nothing is known against it.
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

    @property
    def step(self) -> float:
        """Median seconds of a training step."""
        return statistics.median(self.step_seconds)

    @property
    def matmul_fraction(self) -> float:
        """Counted operations per second of the step, as a fraction of a large matrix product's."""
        return self.step_operations / self.step / self.matmul_rate

    @property
    def copy_fraction(self) -> float:
        """Counted bytes per second of the step, as a fraction of a large copy's."""
        return self.step_bytes / self.step / self.copy_rate


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
