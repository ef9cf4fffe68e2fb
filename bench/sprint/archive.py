"""What a sprint leaves, in a few files of limited size: the most valuable first, until there is no more room."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from bench.packing.pack import split_file
from bench.results import CHECKPOINTS

FOLDER = "bring-back"
ARCHIVE = "sprint.tar.gz"
PART_BYTES = 16 * 2**20
PARTS = 8
HELD = 128 * 1024  # bytes that gzip may hold back before it writes


def archive(folder: Path, part_bytes: int = PART_BYTES, parts: int = PARTS) -> tuple[list[Path], list[Path]]:
    """Fill `folder`/bring-back with at most `parts` files of at most `part_bytes`; they, and the files left out.

    Raises OSError: the disk is full or cannot be written.
    """
    out, left_out = folder / FOLDER, []
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    whole = out / ARCHIVE
    with whole.open("wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for path in valuable(folder):
            try:  # what does not compress grows by less than a hundredth
                if file.tell() + HELD + 1.01 * path.stat().st_size > part_bytes * parts:
                    left_out.append(path)
                else:
                    tar.add(path, str(Path(folder.name, path.relative_to(folder))), recursive=False)
            except OSError:  # it is gone, or a process that was killed too late still wrote it
                left_out.append(path)
    if whole.stat().st_size <= part_bytes:
        return [whole], left_out
    made = split_file(whole, out, part_bytes)
    whole.unlink()
    return made, left_out


def valuable(folder: Path) -> Iterator[Path]:
    """Summary and device, records and timings, logs, profiles; at last the states of unfinished runs. Weights stay."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for rank in range(5):
        yield from (path for path in found if _rank(path.relative_to(folder)) == rank)


def _rank(path: Path) -> int | None:
    """The rank of a file among those worth bringing back; None: it is not."""
    if path.parts[0] == FOLDER or path.suffix in (".tmp", ".part", ".previous", ".lease"):
        return None
    if CHECKPOINTS in path.parts:
        return 4 if path.suffix == ".pt" and path.parts[0] == "results" else None
    if path.suffix in (".pt", ".safetensors") or any(part.startswith(".") for part in path.parts[:-1]):
        return None
    return {"results": 1, "quick": 1, "logs": 2, "profiles": 3}.get(path.parts[0], 3) if len(path.parts) > 1 else 0
