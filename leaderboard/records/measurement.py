"""What is measured beside runs (timings, equivariance errors, generalisation), each in a JSON file of its own.

A measurement of kind KIND is written once and atomically as ``root/KIND/TASK/MODEL/NAME.json``, and read wherever it lies: its
``kind`` says what it is. A kind is a class derived from ``Measurement``, with ``kind`` narrowed to one literal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from leaderboard.errors import RecordError, one_line
from leaderboard.reading.reading import Read, Unreadable, read_each
from leaderboard.records.atomic import create_atomically
from leaderboard.records.schema import Hardware, Kind, Moment, Name, Software, Text
from leaderboard.records.store import to_json

MEASUREMENT_VERSION = 1


class Measurement(BaseModel):
    """What every measurement says of itself. ``command`` repeats it; ``measured`` is in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Annotated[int, Field(strict=True, ge=MEASUREMENT_VERSION, le=MEASUREMENT_VERSION)] = MEASUREMENT_VERSION
    kind: Kind
    name: Name
    model: Name
    task: Name
    hardware: Hardware
    software: Software
    measured: Moment
    command: Text


M = TypeVar("M", bound=Measurement)


def measurement_path(root: Path, kind: str, task: str, model: str, name: str) -> Path:
    """Where a measurement belongs."""
    return Path(root) / kind / task / model / f"{name}.json"


def write_measurement(root: Path, measurement: Measurement) -> Path:
    """Write it and return its path. Raises RecordError when one of that name is there, or the file cannot be written."""
    path = measurement_path(root, measurement.kind, measurement.task, measurement.model, measurement.name)
    if not create_atomically(path, to_json(measurement).encode("utf-8")):
        raise RecordError(f"{one_line(path)} holds a measurement already and is never overwritten; move it away to repeat it")
    return path


def read_measurements(roots: Path | Sequence[Path], kind: type[M]) -> tuple[list[M], list[Unreadable]]:
    """Every measurement of one kind under a folder or several, and what could not be read, in the order of their paths.

    A root that is no folder has none.
    """
    given = [roots] if isinstance(roots, Path) else roots
    found = list(read_each([root for root in given if root.is_dir()], {str(kind.model_fields["kind"].default): kind}))
    return [f.item for f in found if isinstance(f, Read)], [f for f in found if isinstance(f, Unreadable)]
