"""The official STL-10 archive: fetched by a download that resumes where it was cut, and the files wanted taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from datasets.archive import begins_as_archive, copy_members
from datasets.download import Wanted, download, md5_of
from datasets.errors import DataError
from datasets.locks import held
from datasets.paths import cache_folder, check_writable, is_file, replacing, writing_to
from datasets.reach import Probe

NAME = "stl10_binary.tar.gz"
NAMES = (NAME, "stl10_binary.tgz", "stl10_binary.tar")  # some browsers decompress what they fetch
OFFICIAL = Wanted(  # as torchvision knows it, which takes seconds to import
    address="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    size=2_640_397_119,
    md5="91f7769df0f17e558f3565bffb0c7dfb",
    begins=begins_as_archive,
)
LARGEST_FILE = 8_000 * 3 * 96 * 96
UNPACKED = 360_000_000  # bytes of the files that are kept

Checks = Mapping[str, Callable[[Path, str], object]]
Say = Callable[[str], None]


def fetch(folder: Path, checks: Checks, say: Say = print) -> None:
    """Download the archive into the cache and leave those of its files that `checks` names, checked, in `folder`.

    One process at a time; another that waited finds the work done. Raises DataError: no connection within two seconds, no
    answer or another one than the archive, a cut connection (what has come is kept, and the next call resumes there), a
    wrong MD5, a file missing from the archive.
    """
    try:
        Probe(OFFICIAL.address).check()
    except DataError as error:
        raise DataError(f"the archive's server: {error}") from error
    cache = cache_folder()
    part = cache / f"{NAME}.part"
    check_writable(cache, (OFFICIAL.size or 0) - (part.stat().st_size if part.exists() else 0) + UNPACKED)
    with writing_to(cache), held(cache / "stl10.lock", "STL-10", "fetching", say):
        if are_good(folder, checks):
            return
        download(OFFICIAL, part)
        if are_good(folder, checks):  # of another process, where there are no locks
            return
        say("STL-10: checking the archive")
        found = md5_of(part)
        if found != OFFICIAL.md5:
            part.unlink()
            raise DataError(f"the archive has MD5 {found}, not {OFFICIAL.md5}; it was removed, try again")
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
            check(folder / name, name)
    except DataError:
        return False
    return all(is_file(folder / name) for name in checks)


def unpack(archive: Path, folder: Path, checks: Checks) -> None:
    """Copy members by their exact names, check them all, and only then put them in place; the archive chooses no path.

    Raises DataError: it cannot be read, lacks a file, or has another one than the official; OSError: disk full.
    """
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        copies = {name: stack.enter_context(replacing(folder / name)) for name in checks}
        try:
            copy_members(archive, {f"{folder.name}/{name}": copy for name, copy in copies.items()}, LARGEST_FILE)
        except DataError as error:
            raise DataError(f"the archive cannot be read ({error})") from error
        for name, check in checks.items():
            if not copies[name].exists():
                raise DataError(f"the archive has no {name}")
            check(copies[name], name)
