"""Settings of a recipe that do not go with every model, task or device."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
from bench.errors import BenchError
from bench.plan import Run


def check_settings(runs: Sequence[Run], *, on_cuda: bool) -> None:
    """Raises BenchError: one of the runs cannot be done with its recipe's `batch_split` or `cuda_graph`."""
    for run in runs:
        if run.recipe.batch_split > 1 and run.task != datasets.STL10:
            raise BenchError(
                f"--batch-split is for the wide residual networks of {datasets.STL10}, not for {run.model} on {run.task}; "
                f"add --task {datasets.STL10}"
            )
        if run.recipe.cuda_graph and not on_cuda:
            raise BenchError("a CUDA graph needs a CUDA device; leave out --cuda-graph (`cuda_graph` in a protocol file)")
        if run.recipe.cuda_graph and run.recipe.batch_split > 1:  # parts are computed again with states that the host keeps
            raise BenchError("a batch in parts cannot be one CUDA graph; leave out --batch-split or --cuda-graph")
