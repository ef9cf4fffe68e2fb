"""Everything that a machine without a network needs, in a few files: the suite, Python packages that it lacks, verified data.

    setup.sh                     unpacks and joins what lies beside it
    equiscale.tar.gz            the checkout's tracked files, COMMIT, the suite's metadata, and the packages of the wheels
    data/mnist-scale_…_0.npz     a realization, 50 MB compressed to 5.7 MB; checked when it is taken into the cache there
    data/stl10_binary/….part00   the official files of STL-10 in parts of less than 40 MB

The packages lie unpacked beside the suite's own, so that `python3 -m bench` in that folder finds them without an installation.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
from bench.errors import BenchError
from bench.machine.source import COMMIT_FILE, ROOT, commit, git, version
from bench.packing.wheels import unpack
from datasets import mnist_scale_cache, stl10
from leaderboard.records.atomic import link_target

SUITE = "equiscale.tar.gz"
PART_BYTES = 39_000_000
BLOCK = 1 << 20
SETUP = f"""#!/bin/sh
# Unpacks the suite in this folder and joins what was sent in parts. It installs nothing.
set -e
cd "$(dirname "$0")"
tar xzf {SUITE}
for first in data/{stl10.FOLDER}/*.part00; do
    [ -e "$first" ] || continue
    whole=${{first%.part00}}
    cat "$whole".part* > "$whole.joined"
    mv "$whole.joined" "$whole"
    rm "$whole".part*
done
echo "ready: cd '$PWD' && python3 -m bench sprint --budget 14m"
"""


@dataclass(frozen=True)
class Packed:
    """A line of the table: what it is, the file in the pack, its bytes there."""

    what: str
    path: Path
    size: int


def pack(folder: Path, wheels: Sequence[Path], tasks: Sequence[str], realizations: Sequence[int]) -> list[Packed]:
    """Fill `folder` and say what is in it.

    `tasks`: whose data to take (all mnist-scale tasks share theirs). Raises BenchError: no git checkout, a wheel that cannot
    be used, or the folder holds other things or cannot be written; DataError: data are unavailable.
    """
    files = tracked_files(ROOT)
    datasets.prepare(tasks, realizations)
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / "setup.sh").is_file())):
        raise BenchError(f"{str(folder)!r} holds other things than a pack; give a new folder")
    try:
        link_target(folder).mkdir(parents=True, exist_ok=True)
        packed = [_suite(folder / SUITE, files, wheels), *_data(folder / "data", tasks, realizations)]
        (folder / "setup.sh").write_text(SETUP, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{str(folder)!r} cannot be filled: {error.strerror or error}; give another folder") from error
    return [*packed, _packed("unpacks the rest there", folder / "setup.sh")]


def tracked_files(root: Path) -> list[Path]:
    """The files that git knows, as they are in the working tree, relative to `root`. Raises BenchError: no git checkout."""
    try:
        listed = git(root, "ls-files", "-z", "--cached") if (root / ".git").exists() else ""
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"git does not list the files of {root} ({type(error).__name__}); pack from a checkout") from error
    names = [Path(name) for name in listed.split("\0") if name]
    if not names or commit(root)[0] is None:
        raise BenchError(f"{root} is no git checkout, so there is no commit for records to name; pack from a checkout")
    return [name for name in names if (root / name).is_file()]


def _suite(path: Path, files: Iterable[Path], wheels: Sequence[Path]) -> Packed:
    found, dirty = commit(ROOT)
    text = {
        COMMIT_FILE: f"{found}{'-dirty' if dirty else ''}\n",
        f"equiscale-{version()}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: equiscale\nVersion: {version()}\n",
    }
    with tarfile.open(path, "w:gz") as tar, tempfile.TemporaryDirectory() as site:
        for file in files:
            tar.add(ROOT / file, str(file), recursive=False)
        for name, content in text.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
        packages = unpack(wheels, Path(site), ROOT)
        for inside in sorted(p for p in Path(site).rglob("*") if p.is_file()):
            tar.add(inside, str(inside.relative_to(site)))
    what = f"the suite, commit {str(found)[:10]}{' and changes to it' if dirty else ''}"
    return _packed(what + (f", with {', '.join(packages)}" if packages else ""), path)


def _data(folder: Path, tasks: Sequence[str], realizations: Sequence[int]) -> list[Packed]:
    packed = []
    folder.mkdir(exist_ok=True)
    if set(tasks) & set(datasets.MNIST_SCALE):
        size = datasets.TEST_SIZES[0]
        paths = [mnist_scale_cache.pack(number, size, folder) for number in realizations]
        packed += [_packed(f"mnist-scale realization {n}", path) for n, path in zip(realizations, paths, strict=True)]
    if datasets.STL10 in tasks:
        source = stl10.find()
        assert source is not None  # they were prepared
        (folder / stl10.FOLDER).mkdir(exist_ok=True)
        for name in stl10.MD5:
            packed += [_packed(f"stl10+ {name}", part) for part in split_file(source[name], folder / stl10.FOLDER, PART_BYTES)]
    return packed


def _packed(what: str, path: Path) -> Packed:
    return Packed(what, path, path.stat().st_size)


def split_file(source: Path, folder: Path, part_bytes: int) -> list[Path]:
    """Copy a file into `folder` in parts NAME.part00, .part01, … of at most `part_bytes` bytes, which `cat` joins; their paths.

    Raises OSError.
    """
    parts: list[Path] = []
    with source.open("rb") as file:
        while block := file.read(min(BLOCK, part_bytes)):
            parts.append(folder / f"{source.name}.part{len(parts):02}")
            with parts[-1].open("wb") as part:
                part.write(block)
                while part.tell() < part_bytes and (block := file.read(min(BLOCK, part_bytes - part.tell()))):
                    part.write(block)
    return parts
