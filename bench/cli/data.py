"""`bench data`: fetch and verify everything that runs need."""

from __future__ import annotations

from typing import Annotated

import typer


def data(
    task: Annotated[str, typer.Option(help="Tasks whose data to prepare; a glob.")] = "*",
    realizations: Annotated[str, typer.Option(help="Which of the six realizations, e.g. 0-5 or 0,2.")] = "0-5",
    test_size: Annotated[
        int | None, typer.Option(help="mnist-scale: 50000, the published split (default), or 48000, the other in circulation.")
    ] = None,
) -> None:
    """Fetch raw data, build the realizations, check every hash."""
    import datasets
    from bench.plan import match_tasks, parse_realizations

    numbers, tasks = parse_realizations(realizations), match_tasks([task])
    mnist_scale, stl10 = [t for t in tasks if t in datasets.MNIST_SCALE], [t for t in tasks if t == datasets.STL10]
    if mnist_scale:
        datasets.prepare(mnist_scale, numbers, test_size=test_size)
    for number in numbers if mnist_scale else []:
        for split, count in datasets.sizes(mnist_scale[0], test_size=test_size).items():
            datasets.load(mnist_scale[0], number, split, test_size=test_size)
            print(f"mnist-scale realization {number} {split}: {count} images, SHA-256 as published")
    if stl10:
        datasets.prepare(stl10, [0])
        for split, count in datasets.sizes(stl10[0]).items():
            datasets.load(stl10[0], 0, split)
            print(f"{stl10[0]} {split}: {count} images, MD5 as published")
