"""The figure of the timings: each model's training step as a multiple of the plain CNN's, on every device."""

from __future__ import annotations

import io
from collections.abc import Sequence

from leaderboard.board.charts.headless import headless
from leaderboard.errors import RecordError
from leaderboard.timings.tables import PLAIN, TimingTable


def ratio_figure(tables: Sequence[TimingTable]) -> bytes:
    """A PNG with an axis per table, models from below by name, a mark per device. Raises RecordError: nothing to draw."""
    rows = [
        {
            "table": f"{table.task}, batch {column.batch_size}, {column.precision}",
            "model": model,
            "device": f"{column.device}, torch {column.torch}",
            "× cnn": cell.ratio,
        }
        for table in tables
        for (model, column), cell in sorted(table.cells.items())
        if model != PLAIN and cell.ratio is not None
    ]
    if not rows:
        raise RecordError(
            f"there is nothing to draw: no device has timed {PLAIN} and another model; time them with: bench time --all"
        )
    with headless():
        return _draw(rows)


def _draw(rows: list[dict[str, object]]) -> bytes:
    import matplotlib as mpl

    mpl.use("agg")
    import pandas as pd
    import seaborn as sns
    from matplotlib import pyplot as plt

    frame = pd.DataFrame(rows)
    with sns.axes_style("whitegrid"):
        grid = sns.FacetGrid(
            frame, col="table", hue="device", col_wrap=min(3, frame["table"].nunique()), sharey=False, height=4
        )
        grid.map_dataframe(sns.scatterplot, x="× cnn", y="model", s=50)
        grid.set_titles("{col_name}")
        for axis in grid.axes.flat:
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.axvline(1, color="0.6", linewidth=1)
        grid.add_legend()
        target = io.BytesIO()
        grid.savefig(target, format="png", dpi=120, metadata={"Software": None})
        plt.close(grid.figure)
    return target.getvalue()
