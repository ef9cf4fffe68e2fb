"""Fetching the official STL-10 archive: a download that goes on where it was cut, and the files wanted out of it."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from datasets.errors import DataError
from datasets.paths import cache_folder, writing_to
from datasets.reach import Probe

TIMEOUT = 30  # seconds without an answer of a server that can be reached
BLOCK = 1 << 20
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


def address() -> str:
    """Where the archive is (and where torchvision knows it to be, which takes seconds to import)."""
    return "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"


def archive_md5() -> str:
    """The archive's MD5, as torchvision knows it."""
    return "91f7769df0f17e558f3565bffb0c7dfb"


def fetch(folder: Path, checks: Mapping[str, Callable[[Path], object]], say: Callable[[str], None] = print) -> None:
    """Download the archive into the cache and leave those of its files that `checks` names, checked, in `folder`.

    One process at a time; another that waited finds the work done. Raises DataError: no connection within two seconds, no
    answer, a cut connection (what has come is kept, and the next call goes on from there), a wrong MD5, a file missing from
    the archive.
    """
    from filelock import FileLock

    try:
        Probe(address()).check()
    except DataError as error:
        raise DataError(f"the archive's server: {error}") from error
    cache = cache_folder()
    with writing_to(cache), FileLock(cache / "stl10.lock"):
        if all((folder / name).is_file() for name in checks):
            return
        part = cache / "stl10_binary.tar.gz.part"
        _download(part)
        say("STL-10: checking the archive")
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != archive_md5():
            part.unlink()
            raise DataError(f"the archive has MD5 {found}, not {archive_md5()}; it was removed, try again")
        _extract(part, folder, checks)
        part.unlink()


def _download(part: Path) -> None:
    from tqdm import tqdm

    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address(), headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            goes_on = answer.status == PARTIAL_CONTENT
            begun = begun if goes_on else 0
            length = answer.headers.get("Content-Length")
            total = begun + int(length) if length and length.isdecimal() else None
            with (
                part.open("ab" if goes_on else "wb") as file,
                tqdm(total=total, initial=begun, desc="STL-10", unit="B", unit_scale=True, disable=None) as bar,
            ):
                while block := answer.read(BLOCK):
                    file.write(block)
                    bar.update(len(block))
            come = part.stat().st_size
            if total is not None and come < total:
                raise DataError(
                    f"the connection was cut after {come:,} of {total:,} bytes; the same command goes on from there"
                )
    except urllib.error.HTTPError as error:
        if error.code != RANGE_NOT_SATISFIABLE:  # that one means: all of it is here
            raise DataError(f"the archive's server answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException, ConnectionError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise DataError(
            f"the archive's server: {reason}; what has come is kept, the same command goes on from there"
        ) from error


def _extract(archive: Path, folder: Path, checks: Mapping[str, Callable[[Path], object]]) -> None:
    """Copy members by their exact names; the archive chooses no path on this disk."""
    unpacked = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    wanted = {f"{folder.name}/{name}": unpacked / name for name in checks}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                content = members.extractfile(member) if member.name in wanted and member.isreg() else None
                if content is not None:
                    with wanted[member.name].open("wb") as file:
                        shutil.copyfileobj(content, file, BLOCK)
                if all(path.exists() for path in wanted.values()):
                    break
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"the archive cannot be read ({type(error).__name__})") from error
    for path in wanted.values():
        if not path.exists():
            raise DataError(f"the archive has no {path.name}")
        checks[path.name](path)
    folder.mkdir(parents=True, exist_ok=True)
    for path in wanted.values():
        path.replace(folder / path.name)
    unpacked.rmdir()
