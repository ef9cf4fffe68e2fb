"""The model of a record, if it is still the code that the record was made with."""

from __future__ import annotations

import models
from bench.errors import BenchError
from leaderboard.records import Record
from models import ModelInfo


def model_of(record: Record) -> ModelInfo:
    """What is known here of a record's model. Built-in code may differ: its commit stands in the record.

    Raises ModelError: no such model, or --plugin was forgotten; BenchError: a plugin or package whose code is another by now.
    """
    model = models.info(record.model, record.task)
    if record.source and record.source != model.source:
        raise BenchError(
            f"{record.run_id}: the code of {record.model} ({model.origin}) is not that of the record, SHA-256 "
            f"{record.source[:12]} then, {model.source[:12] or 'none'} now; give the file as it was: --plugin FILE"
        )
    return model
