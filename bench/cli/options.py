"""The options that several verbs share, each declared once: its type, its range and its line in `--help`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from typer import Option

LARGEST = 2**31 - 1  # of what is counted, as in protocols

Task = Annotated[list[str] | None, Option(help="Task name or glob. Repeatable.")]
Plugin = Annotated[list[Path] | None, Option(help="A Python file that registers models. Repeatable.")]
Device = Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")]
SixRealizations = Annotated[str, Option(help="Which of the six realizations, e.g. 0-5 or 0,2.")]
RecordsRead = Annotated[list[Path] | None, Option(help="Folder of records. Repeatable. Default: records.")]
RunsRead = Annotated[list[Path] | None, Option(help="Where runs' records and weights are. Repeatable. Default: results.")]
MeasurementsWritten = Annotated[Path | None, Option(help="Where the measurements go. Default: the first --results.")]
BatchSize = Annotated[int, Option(min=2, max=65_536, help="Images per step.")]
Precision = Annotated[str, Option(help="float32, tf32 or bf16.")]


def load_plugins(plugins: Iterable[Path] | None) -> None:
    """Register the models of these files. Raises ModelError: one cannot be loaded."""
    import models

    for path in plugins or ():
        models.load_plugin(path)


def check_precision(precision: str) -> None:
    """Raises BenchError: a precision that there is not."""
    from typing import get_args

    from bench.errors import BenchError
    from leaderboard.records.schema import Precision as Precisions

    if precision not in get_args(Precisions):
        raise BenchError(f"precision {precision!r} is none; allowed: --precision {' or '.join(get_args(Precisions))}")
