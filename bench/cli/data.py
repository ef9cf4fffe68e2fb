"""`bench data`: fetch and verify everything that runs need."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

from typer import Option

from bench.cli.options import SixRealizations, Task


def data(
    task: Task = None,
    realizations: SixRealizations = "0-5",
    test_size: Annotated[
        int | None, Option(help="mnist-scale: 50000, the published split (default), or 48000, the other in circulation.")
    ] = None,
) -> None:
    """Fetch raw data, build the realizations, check every hash."""
    import datasets
    from bench.plan import match_tasks, parse_realizations

    numbers, tasks = parse_realizations(realizations), match_tasks(task or ["*"])
    mnist_scale = [t for t in tasks if t in datasets.MNIST_SCALE][:1]  # they share their images
    given = [(t, numbers, test_size) for t in mnist_scale]
    if datasets.STL10 in tasks:
        given.append((datasets.STL10, [0], None if mnist_scale else test_size))
    for name, _, size in given:
        datasets.sizes(name, test_size=size)  # before anything is fetched
    import_module("torch")  # which loads them: if it is missing, that is said now
    problems = []
    for name, wanted, size in given:
        try:
            _prepare(name, wanted, size)
        except datasets.DataError as error:  # the others may be had
            problems.append(str(error))
    if problems:
        raise datasets.DataError("; ".join(problems))


def _prepare(task: str, realizations: list[int], test_size: int | None) -> None:
    import datasets

    datasets.prepare([task], realizations, test_size=test_size)
    for number in realizations:
        what, hashes = (task, "MD5") if task == datasets.STL10 else (f"mnist-scale realization {number}", "SHA-256")
        for split, count in datasets.sizes(task, test_size=test_size).items():
            datasets.load(task, number, split, test_size=test_size)
            print(f"{what} {split}: {count} images, {hashes} as published")
