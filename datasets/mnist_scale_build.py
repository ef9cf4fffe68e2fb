"""Building realizations of MNIST-scale in several processes.

These are plain subprocesses and not multiprocessing's, which would run the caller's own script again in each of them. Run as a
program, this file is such a process. None outlives the one that builds.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datasets import mnist, mnist_scale
from datasets.children import end_with_parent, running
from datasets.errors import DataError
from datasets.paths import cache_folder, save_arrays

PACKAGES = ("sklearn", "PIL")  # that the published code builds with
BUILT = "built realization"  # how a building process says that one is done


def file_name(realization: int, test_size: int) -> str:
    """Of a realization, in the cache and in a user's folder."""
    return f"mnist-scale_10k-2k-{test_size // 1000}k_{realization}.npz"


def cached_file(realization: int, test_size: int) -> Path:
    """Where the cache keeps a realization. Raises DataError: there can be no cache."""
    return cache_folder() / file_name(realization, test_size)


def import_packages() -> None:
    """What building needs, before anything is fetched for it. Raises ImportError: a package is missing or broken."""
    for name in PACKAGES:
        importlib.import_module(name)


def build_in_processes(realizations: Sequence[int], test_size: int) -> None:
    """Build them into the cache, whose raw MNIST is used. Raises DataError: what went wrong first; the others end with it."""
    from tqdm import tqdm

    count = min(len(realizations), os.cpu_count() or 1)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "BENCH_CACHE": str(cache_folder())}
    # -P: a folder named datasets in the user's working directory is not this package.
    program = [sys.executable, "-P", "-m", "datasets.mnist_scale_build", str(test_size)]
    calls = [[*program, *map(str, realizations[first::count])] for first in range(count)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        with (
            tqdm(total=len(realizations), desc="MNIST-scale", unit="realization", disable=None) as bar,
            ThreadPoolExecutor(count) as pool,  # left after the processes have ended, for which its threads wait
            running(calls, env=environment, text=True, errors="replace", **pipes) as processes,
        ):
            for _ in pool.map(lambda process: _follow(process, bar), processes):
                pass  # raises what went wrong
    except OSError as error:
        raise DataError(f"building MNIST-scale failed: no process can be started ({error.strerror or error})") from error


def _follow(process: subprocess.Popen[str], bar: Any) -> None:
    said = ""
    for line in process.stdout or ():
        bar.update(line.startswith(BUILT))
        said = line.strip() or said
    if process.wait() != 0:
        raise DataError(f"building MNIST-scale failed (exit code {process.returncode}): {said or 'nothing was said'}")


def _build(test_size: int, realizations: Sequence[int]) -> None:
    """What a building process does."""
    source = mnist.load_cached()
    for realization in realizations:
        save_arrays(cached_file(realization, test_size), mnist_scale.build(realization, test_size, source))
        print(BUILT, realization, flush=True)


if __name__ == "__main__":
    end_with_parent()
    try:
        _build(int(sys.argv[1]), [int(number) for number in sys.argv[2:]])
    except DataError as error:
        sys.exit(str(error))
