"""Which files lie under a folder of records: at any depth, behind links too, each once."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from leaderboard.errors import one_line


def find_files(roots: Sequence[Path]) -> dict[Path, str]:
    """Every .json file below the roots in the order of the paths, and what cannot be looked into with the reason (else "").

    Links to files and folders are followed, and each file is found once: by its own name where it has one here. A link to a
    folder that it lies in leads nowhere new. Hidden files and folders hold no records: editors, notebooks and the checkpoints
    of runs keep theirs there.
    """
    found: dict[Path, str] = {}
    seen: set[tuple[int, int]] = set()  # by device and number
    here, links = deque(roots), deque[Path]()
    while here or links:
        is_link = not here
        path = links.popleft() if is_link else here.popleft()
        try:
            at = path.stat()
            place, is_folder = (at.st_dev, at.st_ino), stat.S_ISDIR(at.st_mode)
            wanted = is_folder or (stat.S_ISREG(at.st_mode) and path.suffix == ".json")
            if place in seen or not wanted or (is_link and _encloses(path)):
                continue
            seen.add(place)
            if not is_folder:
                found[path] = ""
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        (links if entry.is_symlink() else here).append(path / entry.name)
        except OSError as error:
            if path.suffix in ("", ".json"):  # a folder, or a file that may have been a record
                found[path] = one_line(error.strerror or type(error).__name__)
    return dict(sorted(found.items()))


def _encloses(link: Path) -> bool:
    """Whether a link leads to a folder that it lies in itself."""
    return link.parent.resolve().is_relative_to(link.resolve())
