"""The official STL-10 archive: fetched by a download that goes on where it was cut, and the files wanted taken out of it."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from datasets.download import Wanted, download, md5_of
from datasets.errors import DataError
from datasets.locks import held
from datasets.paths import cache_folder, check_writable, is_file, writing_to
from datasets.reach import Probe
from datasets.web import BLOCK

NAME = "stl10_binary.tar.gz"
NAMES = (NAME, "stl10_binary.tgz", "stl10_binary.tar")  # some browsers decompress what they fetch
SIZES = {"91f7769df0f17e558f3565bffb0c7dfb": 2_640_397_119}  # in bytes, by MD5
UNPACKED = 360_000_000  # bytes of the files that are kept

Checks = Mapping[str, Callable[[Path], object]]
Say = Callable[[str], None]


def address() -> str:
    """Where the archive is (and where torchvision knows it to be, which takes seconds to import)."""
    return "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"


def archive_md5() -> str:
    """The archive's MD5, as torchvision knows it."""
    return "91f7769df0f17e558f3565bffb0c7dfb"


def fetch(folder: Path, checks: Checks, say: Say = print) -> None:
    """Download the archive into the cache and leave those of its files that `checks` names, checked, in `folder`.

    One process at a time; another that waited finds the work done. Raises DataError: no connection within two seconds, no
    answer or another one than the archive, a cut connection (what has come is kept, and the next call goes on from there), a
    wrong MD5, a file missing from the archive.
    """
    try:
        Probe(address()).check()
    except DataError as error:
        raise DataError(f"the archive's server: {error}") from error
    cache = cache_folder()
    part = cache / f"{NAME}.part"
    wanted = Wanted(address(), SIZES.get(archive_md5()), archive_md5(), _begins_rightly)
    check_writable(cache, (wanted.size or 0) - (part.stat().st_size if part.exists() else 0) + UNPACKED)
    with writing_to(cache), held(cache / "stl10.lock", "STL-10", "fetching", say):
        if are_good(folder, checks):
            return
        download(wanted, part)
        if are_good(folder, checks):  # of another process, where there are no locks
            return
        say("STL-10: checking the archive")
        found = md5_of(part)
        if found != wanted.md5:
            part.unlink()
            raise DataError(f"the archive has MD5 {found}, not {wanted.md5}; it was removed, try again")
        unpack(part, folder, checks)
        part.unlink(missing_ok=True)


def take(archive: Path, folder: Path, checks: Checks, say: Say = print) -> None:
    """Leave those files of the user's archive that `checks` names, checked, in `folder`, in the cache. Raises DataError."""
    check_writable(folder.parent, UNPACKED)
    with writing_to(folder.parent), held(folder.parent / "stl10.lock", "STL-10", "fetching", say):
        if not are_good(folder, checks):
            say(f"STL-10: taking the images out of {archive}")
            unpack(archive, folder, checks)


def are_good(folder: Path, checks: Checks) -> bool:
    """Whether a folder holds all the files, and each passes its check."""
    try:
        for name, check in checks.items():
            check(folder / name)
    except DataError:
        return False
    return all(is_file(folder / name) for name in checks)


def unpack(archive: Path, folder: Path, checks: Checks) -> None:
    """Copy members by their exact names, check them all, and only then put them in place; the archive chooses no path.

    Raises DataError: it cannot be read, lacks a file, or has another one than the official; OSError: disk full.
    """
    unpacked = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.part")
    unpacked.mkdir()
    try:
        _copy_members(archive, {f"{folder.name}/{name}": unpacked / name for name in checks})
        for name, check in checks.items():
            if not (unpacked / name).exists():
                raise DataError(f"the archive has no {name}")
            check(unpacked / name)
        folder.mkdir(exist_ok=True)
        for name in checks:
            (unpacked / name).replace(folder / name)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _copy_members(archive: Path, wanted: Mapping[str, Path]) -> None:
    left = dict(wanted)
    try:
        file = archive.open("rb")
    except OSError as error:
        raise DataError(f"the archive cannot be read ({error.strerror})") from error
    try:
        with file, tarfile.open(fileobj=file) as members:
            for member in members:
                content = members.extractfile(member) if member.name in left and member.isreg() else None
                if content is not None:
                    with left.pop(member.name).open("wb") as copy:
                        shutil.copyfileobj(content, copy, BLOCK)
                if not left:
                    break
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the archive cannot be read ({type(error).__name__})") from error


def _begins_rightly(head: bytes) -> bool:
    """Whether these bytes are the beginning of a compressed archive."""
    try:
        tarfile.TarInfo.frombuf(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, tarfile.BLOCKSIZE), "utf-8", "replace")
    except (zlib.error, tarfile.TarError):
        return False
    return True
