"""Which code a result is of: a measurement of other code is another, a record of other code is not gone on with."""

from __future__ import annotations

import models
from bench.errors import BenchError
from leaderboard.records.store import Record
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


def name_at_initialisation(model: str, task: str, seed: int) -> str:
    """What a measurement of a network as it is built is called; of a plugin's or package's by its code, too."""
    source = models.info(model, task).source
    return f"initialisation-seed{seed}" + (f"-{source[:10]}" if source else "")
