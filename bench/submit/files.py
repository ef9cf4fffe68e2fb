"""The files of a submission: what goes where below records/, weights among them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.machine.source import git
from bench.results import weights_path
from bench.submit.candidates import Candidate
from leaderboard.errors import one_line, reason
from leaderboard.records.atomic import create_atomically
from leaderboard.records.schema import Record
from leaderboard.records.serialization import as_utf8

MOST_BYTES = 4_000_000  # of weights that a repository is to hold: a network of mnist-scale has 2 MB
LEVELS = 4  # of a record's file below its results folder: PROTOCOL/TASK/MODEL/RUN_ID.json


def new_files(accepted: Iterable[Candidate], records: Path, *, weights: bool) -> dict[Path, bytes]:
    """What is to be written, by its place below records/: each file as it is, and of each new row the weights of one run."""
    files: dict[Path, bytes] = {}
    have = {path.stem.partition("_r")[0] for path in (records / "weights").glob("*.safetensors")}
    for one in sorted(accepted, key=lambda one: one.place):
        try:
            files[one.place] = as_utf8(one.path.read_bytes())
        except OSError as error:
            raise BenchError(f"{one_line(one.path)} cannot be read: {reason(error)}") from error
        if weights and isinstance(one.item, Record) and (row := one.item.run_id.partition("_r")[0]) not in have:
            files |= (found := _weights(one.path, one.item))
            have |= {row} if found else set()
    return files


def _weights(path: Path, record: Record) -> dict[Path, bytes]:
    """The run's weights, where they were kept, are small, and are those that the record names."""
    if record.weights_sha256 is None or len(path.parents) < LEVELS:
        return {}
    file = weights_path(path.parents[LEVELS - 1], record.run_id)
    if file.suffix != ".safetensors" or not file.is_file() or file.stat().st_size > MOST_BYTES:
        return {}
    content = file.read_bytes()
    return {Path("weights", file.name): content} if hashlib.sha256(content).hexdigest() == record.weights_sha256 else {}


def write_files(records: Path, files: Mapping[Path, bytes]) -> None:
    """Write them below a folder. Raises BenchError: one is there already; RecordError: it cannot be written."""
    for path, content in files.items():
        if not create_atomically(records / path, content):
            raise BenchError(f"records/{path.as_posix()} is there already, and is never written over")


def unknown_commits(root: Path, records: Sequence[Record]) -> list[str]:
    """Commits of these records that the repository in `root` does not hold; none where git cannot say."""
    commits = sorted({record.software.git_commit for record in records if record.software.git_commit})
    try:
        git(root, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return []
    return [commit for commit in commits if not _is_there(root, commit)]


def _is_there(root: Path, commit: str) -> bool:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, subprocess.SubprocessError):
        return False
    return True
