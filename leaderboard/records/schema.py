"""What one run leaves behind: the fields of a record, their units, and what makes a record impossible."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from leaderboard.errors import clean

SCHEMA_VERSION = 1
SCALE_EDGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the bins of error_by_scale: all that digits are drawn at
# "generalisation" are scale sweeps, by their verb's first name.
MeasurementKind = Literal["timings", "equivariance", "generalisation", "repeats"]
MEASUREMENTS: tuple[str, ...] = get_args(MeasurementKind)  # and their folders, beside those of the protocols


def _name(text: str) -> str:
    """What may be a part of a path on every system, and of a command line unquoted."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+@=,-]*", text) or ".." in text:
        raise ValueError("only letters, digits and . _ + @ = , - are allowed, a letter or digit first, and no '..'")
    return text


def _utc(moment: datetime) -> datetime:
    if not 1971 <= moment.year <= 2260:  # what a data frame's nanoseconds can hold in any time zone
        raise ValueError("the year must lie between 1971 and 2260")
    return moment.astimezone(UTC)


def _plain_json(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as they will be read back; what JSON or UTF-8 cannot hold is an error now and not after the run."""
    try:
        text = json.dumps(settings, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not plain JSON: {error}") from None
    plain: dict[str, Any] = json.loads(text)
    return plain


Name = Annotated[str, Field(max_length=200), AfterValidator(_name)]
Text = Annotated[str, BeforeValidator(clean)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
PositiveCount = Annotated[Count, Field(gt=0)]
Seed = Annotated[int, Field(ge=-(2**64), le=2**64)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
Precision = Literal["float32", "tf32", "bf16"]


class Strict(BaseModel):
    """Fields that cannot be changed, beside which there are no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProtocolUsed(Strict):
    """The training recipe with every setting resolved for the run's task; ``digest`` is a short hash of ``recipe``."""

    name: Name
    smoke: bool
    digest: Text
    recipe: Annotated[dict[str, Any], AfterValidator(_plain_json)]


class DataUsed(Strict):
    """Which split sizes (``10k-2k-50k``) and, by ``fingerprint``, exactly which data."""

    variant: Text
    fingerprint: Text


class ScaleBin(Strict):
    """Test images with a scale factor in [low, high): how many, and how many of them were answered wrongly."""

    low: Finite
    high: Finite
    count: Count
    wrong: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low > self.high or self.wrong > self.count:
            raise ValueError("a bin needs low <= high and wrong <= count")
        return self


class Metrics(Strict):
    """Errors in percent; ``wrong_answers`` holds (index in the test split, answer given) of every wrong answer."""

    test_error: Percent
    test_count: PositiveCount
    best_epoch: Count
    validation_error_curve: list[Percent]
    train_loss_curve: list[Finite]
    error_by_scale: list[ScaleBin]
    wrong_answers: list[tuple[Count, Count]]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = len(self.wrong_answers)
        if abs(self.test_error * self.test_count / 100 - wrong) >= 0.5:
            raise ValueError(f"a test error of {self.test_error} % of {self.test_count} images is not {wrong} wrong answers")
        indices = {index for index, _ in self.wrong_answers}
        if len(indices) < wrong or (wrong and max(indices) >= self.test_count):
            raise ValueError("wrong_answers names an image twice, or one outside the test split")
        if sum(b.count for b in self.error_by_scale) > self.test_count or sum(b.wrong for b in self.error_by_scale) > wrong:
            raise ValueError("error_by_scale counts more images or more wrong answers than there are")
        return self


class Timings(Strict):
    """Wall-clock seconds; the samples per epoch are raw."""

    train_seconds_per_epoch: list[Amount]
    validation_seconds_per_epoch: list[Amount]
    test_seconds: Amount | None
    total_seconds: Amount


class Hardware(Strict):
    """What the run ran on; ``device`` is "cpu" or "cuda", ``name`` the processor's or the card's own name.

    ``other_processes``: on the card; on a CPU 1 if others used more than 5 % of its time in half of the epochs, else 0.
    """

    device: Literal["cpu", "cuda"]
    name: Text
    cores: Count
    threads: Count
    memory_bytes: Count
    driver: Text | None
    clocks_mhz: dict[str, Count] | None
    power_cap_watts: Amount | None
    other_processes: Count | None


class Software(Strict):
    """Versions, and the commit of the working tree (``git_dirty``: it held uncommitted changes)."""

    python: Text
    torch: Text
    numpy: Text
    platform: Text
    cuda: Text | None
    cudnn: Text | None = None  # so in records from before there was the field
    git_commit: Text | None
    git_dirty: bool | None
    scalebench: Text  # the version of equiscale, under the name it had when the first records were written


class ExecutionUsed(Strict):
    """How the run was computed: what changes rounding and nothing else, and so is no part of the recipe or its digest.

    ``cuda_graph``: its steps were replayed as CUDA graphs; ``batch_split``: parts of a batch; ``evaluation_batch``: images at a
    time without gradients, the fewest that were used; ``jobs``: runs side by side on the device, by the command that made it.
    """

    cuda_graph: bool
    compile: bool
    batch_split: PositiveCount
    channels_last: bool
    evaluation_batch: PositiveCount
    jobs: PositiveCount


class Failure(Strict):
    """Why there is no result; ``kind`` is the exception's class or "diverged"."""

    kind: Text
    message: Text
    traceback_tail: list[Text]


class Record(Strict):
    """One run. ``command`` repeats it; ``started`` and ``finished`` are in UTC; ``parameters`` counts trainable ones.

    ``source``: SHA-256 of the code of a model that is not the suite's own, a plugin or another package's; None for the suite's.
    ``weights_sha256``: of the file with the weights that were tested, None where they were not kept. ``execution``, ``source``
    and ``weights_sha256`` are None in records from before there were the fields.
    """

    schema_version: Annotated[int, Field(strict=True, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    run_id: Name
    status: Literal["ok", "failed", "diverged"]
    model: Name
    task: Name
    realization: Annotated[Count, Field(le=10**6)]
    protocol: ProtocolUsed
    execution: ExecutionUsed | None = None
    source: Text | None = None
    data: DataUsed
    parameters: Count | None
    weights_sha256: Sha256 | None = None
    metrics: Metrics | None
    timings: Timings | None
    peak_memory_bytes: Count | None
    hardware: Hardware
    software: Software
    seeds: dict[str, Seed]
    started: Moment
    finished: Moment
    command: Text
    failure: Failure | None

    @model_validator(mode="after")
    def _status_fits(self) -> Self:
        ok = self.status == "ok"
        if ok != (self.metrics is not None) or ok != (self.failure is None):
            raise ValueError("status ok goes with metrics and no failure; failed and diverged with a failure and no metrics")
        return self
