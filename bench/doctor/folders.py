"""Where results, data and temporary files go, and the data that are there. Nothing is written to find that out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.doctor.finding import Finding
from datasets.errors import DataError

LITTLE = 20  # times what is needed: less is worth a look


def results(folder: Path) -> Iterator[Finding]:
    """The results folder."""
    from bench.results import BYTES_NEEDED

    yield _room("results", folder, BYTES_NEEDED, "choose another folder with --results DIR")


def temporary() -> Iterator[Finding]:
    """Where Python puts temporary files; asking `tempfile` itself would write one."""
    given = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    for folder in map(Path, given):
        if not os.access(folder, os.W_OK | os.X_OK):
            text = f"{folder} is not there or cannot be written; other folders are tried in its place"
            yield Finding("look", "temporary files", text, "set TMPDIR to a folder that can be written")
    usable = [folder for folder in map(Path, [*given, "/tmp", "/var/tmp"]) if os.access(folder, os.W_OK | os.X_OK)]
    if usable:
        yield _room("temporary files", usable[0], 50_000_000, "set TMPDIR to another folder")
    else:
        remedy = "set TMPDIR to a folder that can be written"
        yield Finding("fail", "temporary files", "no folder for them can be written", remedy)


def cache() -> Iterator[Finding]:
    """The folder of data that were fetched or built."""
    from datasets import REALIZATIONS
    from datasets.inventory import realizations
    from datasets.mnist_scale_cache import REALIZATION_BYTES
    from datasets.paths import cache_place

    try:
        folder, missing = cache_place(), REALIZATIONS - len(realizations())
    except DataError as error:
        yield Finding("fail", "cache", str(error), "set BENCH_CACHE to a folder that can be written")
        return
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        yield Finding("fail", "cache", f"{folder} cannot be read", "set BENCH_CACHE to a folder of your own")
        return
    yield _room("cache", folder, REALIZATION_BYTES * missing, "free space, or set BENCH_CACHE to another folder")


def data() -> Iterator[Finding]:
    """Of each data set, whether it is here; a BENCH_DATA that is no folder."""
    from datasets import MNIST_SCALE, REALIZATIONS, STL10, inventory

    given = os.environ.get("BENCH_DATA")
    if given and not os.path.exists(given):  # noqa: PTH110  (does not raise)
        yield Finding("fail", "data", f"BENCH_DATA={given}: there is nothing", "set it to a folder with data, or unset it")
    built, tasks = inventory.realizations(), f"{MNIST_SCALE[0]} to {MNIST_SCALE[-1]}"
    if len(built) == REALIZATIONS:
        yield Finding("ok", "data", f"{tasks}: all {REALIZATIONS} realizations are here")
    else:
        raw = inventory.raw_mnist()
        source = f"built, when they are needed, from {raw}" if raw else "fetched and built when they are needed"
        text = f"{tasks}: {len(built)} of {REALIZATIONS} realizations are here, the others are {source}"
        yield Finding("look", "data", text, "bench data --task 'mnist-scale-*'")
    where = inventory.stl10_files()
    if where:
        yield Finding("ok", "data", f"{STL10}: {where}")
    else:
        text = f"{STL10}: not here; 2.6 GB are fetched when it is needed"
        yield Finding("look", "data", text, f"bench data --task {STL10}, or set BENCH_DATA to a folder with its files")


def _room(subject: str, folder: Path, needed: int, remedy: str) -> Finding:
    """Whether a folder, or the one that it would be made in, can be written, and has `needed` bytes and files free."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        return Finding("fail", subject, f"{folder}: {there} is no folder", remedy)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("fail", subject, f"{folder}: {there} cannot be written", remedy)
    free, system = shutil.disk_usage(there).free, os.statvfs(there)
    if system.f_files and not system.f_favail:
        return Finding("fail", subject, f"{folder}: its disk takes no more files", remedy)
    text = f"{folder}, {free / 1e9:.1f} GB free"
    if free < needed:
        return Finding("fail", subject, f"{text}, {needed / 1e9:.2g} GB are needed", remedy)
    return (
        Finding("look", subject, f"{text}, which is little", remedy) if free < LITTLE * needed else Finding("ok", subject, text)
    )
