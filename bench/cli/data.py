"""`bench data`: fetch and verify everything that runs need."""

from __future__ import annotations

from typing import Annotated

import typer


def data(
    task: Annotated[str, typer.Option(help="Tasks whose data to prepare; a glob.")] = "*",
    realizations: Annotated[str, typer.Option(help="Which of the six realizations, e.g. 0-5 or 0,2.")] = "0-5",
    test_size: Annotated[int, typer.Option(help="50000: the published split; 48000: the other one in circulation.")] = 50_000,
) -> None:
    """Fetch raw data, build the realizations, check every hash."""
    import datasets
    from bench.plan import match_tasks, parse_realizations

    numbers = parse_realizations(realizations)
    datasets.prepare(match_tasks([task]), numbers, test_size=test_size)
    for number in numbers:
        for split in ("train", "validation", "test"):
            images, _ = datasets.load("mnist-scale-28", number, split, test_size=test_size)
            print(f"mnist-scale realization {number} {split}: {len(images)} images, SHA-256 as published")
