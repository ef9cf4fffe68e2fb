"""The records as a data frame, for a notebook."""

from __future__ import annotations

import sys

import pandas as pd

from leaderboard.reading.collection import Source, collect
from leaderboard.records.runs import RunResult
from leaderboard.records.schema import ExecutionUsed

# Columns that a failed run leaves empty need types that know a missing value.
_TYPES = {
    "run_id": "str",
    "status": "str",
    "model": "str",
    "task": "str",
    "realization": "int64",
    "protocol": "str",
    "protocol_digest": "str",
    "smoke": "bool",
    "data_variant": "str",
    "data_fingerprint": "str",
    "test_error": "float64",
    "test_count": "Int64",
    "best_epoch": "Int64",
    "parameters": "Int64",
    "train_seconds_per_epoch": "float64",
    "total_seconds": "float64",
    "peak_memory_bytes": "Int64",
    "device": "str",
    "hardware": "str",
    "threads": "int64",
    "git_commit": "str",
    "started": "datetime64[ns, UTC]",
    "finished": "datetime64[ns, UTC]",
    "schema_version": "int64",
    "alone": "boolean",
}
_EXECUTION = {name: "boolean" if field.annotation is bool else "Int64" for name, field in ExecutionUsed.model_fields.items()}


def load_records(path: Source) -> pd.DataFrame:
    """One row per run under the folder ``path``, or several folders; errors in percent, times in seconds, moments in UTC.

    ``train_seconds_per_epoch`` is the median of the run's samples, which compares with another only if both runs had the device
    to themselves (``alone``; missing where nobody knows) and were computed alike: ``execution_cuda_graph`` and so on, after
    the fields of ``ExecutionUsed``, missing in records from before there were any. A failed run has no ``test_error``,
    nor has one whose copies differ in their answers (``status`` contradictory). Files that are left out and runs found more
    than once get a line on stderr. Raises RecordError when there is no such folder.
    """
    collection = collect(path)
    for line in (*collection.warnings, *(note for note in collection.notes if note not in collection.contradictions)):
        print(f"warning: {line}", file=sys.stderr)
    columns = {name: pd.Series([getattr(run, name) for run in collection.runs], dtype=dtype) for name, dtype in _TYPES.items()}
    for name, dtype in _EXECUTION.items():
        columns[f"execution_{name}"] = pd.Series([_execution(run, name) for run in collection.runs], dtype=dtype)
    return pd.DataFrame(columns)


def _execution(run: RunResult, name: str) -> bool | int | None:
    return None if run.execution is None else getattr(run.execution, name)
