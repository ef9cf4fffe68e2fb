"""What is measured beside runs (timings, equivariance errors, scale sweeps), each in a JSON file of its own.

A measurement of kind KIND is written once and atomically as ``root/KIND/TASK/MODEL/NAME.json``, and read wherever it lies: its
``kind`` says what it is. A kind is a class derived from ``Measurement``, with ``kind`` narrowed to one literal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from leaderboard.errors import RecordError, one_line
from leaderboard.records.atomic import create_atomically
from leaderboard.records.schema import Hardware, MeasurementKind, Moment, Name, Software, Strict, Text
from leaderboard.records.serialization import to_json

MEASUREMENT_VERSION = 1


class Measurement(Strict):
    """What every measurement says of itself. ``command`` repeats it; ``measured`` is in UTC."""

    schema_version: Annotated[int, Field(strict=True, ge=MEASUREMENT_VERSION, le=MEASUREMENT_VERSION)] = MEASUREMENT_VERSION
    kind: MeasurementKind
    name: Name
    model: Name
    task: Name
    hardware: Hardware
    software: Software
    measured: Moment
    command: Text


def kind_name(kind: type[Measurement]) -> str:
    """What files of this class have as their ``kind``."""
    return str(kind.model_fields["kind"].default)


def measurement_path(root: Path, kind: str, task: str, model: str, name: str) -> Path:
    """Where a measurement belongs: ``root/KIND/TASK/MODEL/NAME.json``."""
    return Path(root) / kind / task / model / f"{name}.json"


def write_measurement(root: Path, measurement: Measurement) -> Path:
    """Write it and return its path. Raises RecordError when one of that name is there, or the file cannot be written."""
    path = measurement_path(root, measurement.kind, measurement.task, measurement.model, measurement.name)
    if not create_atomically(path, to_json(measurement).encode("utf-8")):
        raise RecordError(f"{one_line(path)} holds a measurement already and is never overwritten; move it away to repeat it")
    return path
