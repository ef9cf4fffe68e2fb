"""Of several measurements one that fails does not stop the others: what the measuring verbs share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.errors import BenchError
from leaderboard.errors import RecordError
from leaderboard.records.measurement import Measurement, measurement_path, write_measurement

M = TypeVar("M", bound=Measurement)


@dataclass
class KeepGoing:
    """Measurements one by one, each written under `records` at once. `exit_code`: 1 after any of them failed."""

    records: Path
    exit_code: int = 0

    def measure(self, function: Callable[[], M]) -> M | None:
        """What the function measures, written; None: it raised BenchError, or it could not be written, which is said."""
        try:
            measured = function()
            write_measurement(self.records, measured)
        except (BenchError, RecordError) as error:
            print(f"bench: {error}", file=sys.stderr, flush=True)
            self.exit_code = 1
            return None
        return measured

    def measured_already(self, kind: str, task: str, model: str, name: str) -> bool:
        """Whether it is there, which is then said."""
        path = measurement_path(self.records, kind, task, model, name)
        if path.exists():
            print(f"measured already: {path}")
        return path.exists()
