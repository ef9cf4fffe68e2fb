"""The error of a trained network on test digits of sizes it never saw: what `bench scale-sweep` leaves behind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from leaderboard.records.measurement import Measurement
from leaderboard.records.schema import Count, Name, Positive, PositiveCount, Strict, Text


class AtFactor(Strict):
    """All test digits drawn at one scale factor (1 is MNIST's own size): how many, and how many were answered wrongly."""

    factor: Positive
    count: PositiveCount
    wrong: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.wrong > self.count:
            raise ValueError("wrong must not exceed count")
        return self

    @property
    def error(self) -> float:
        """Test error in percent."""
        return 100 * self.wrong / self.count


class ScaleSweep(Measurement):
    """One run's stored weights, tested again.

    ``factors`` ascend. ``own_sizes`` is the test split itself, each digit at its own factor, on the same weights and
    device. The training digits' factors lie within ``trained_range`` (before augmentation).
    """

    kind: Literal["generalisation"] = "generalisation"
    run_id: Name
    realization: Count
    protocol: Name
    protocol_digest: Text
    data_fingerprint: Text
    trained_range: tuple[float, float]
    own_sizes_count: PositiveCount
    own_sizes_wrong: Count
    factors: Annotated[list[AtFactor], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        values = [at.factor for at in self.factors]
        if values != sorted(set(values)):
            raise ValueError("factors must ascend, each once")
        if self.own_sizes_wrong > self.own_sizes_count:
            raise ValueError("own_sizes_wrong must not exceed own_sizes_count")
        return self
