"""Builds the pretended CUDA runtime (runtime/) for the torch of a Python, once: the library is kept by what it was made of.

python tests/fake_cuda/build.py PROGRAM ...     # runs a program with it, e.g. python -m bench run --device cuda ...
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from stubs import stubs  # noqa: E402 - beside this file, from wherever it is run

SOURCES = sorted((HERE / "runtime").glob("*.cpp"))
TOOLS = ("gcc", "g++", "nm")
HEADERS = ("cuda_runtime_api.h", "cudnn_version.h")
LIBRARY = "libfake.so"
SONAME = "libcuda.so.1"  # torch opens the driver by this name, and finds what is loaded under it


class CannotBuild(Exception):
    """Why there is no pretended runtime here, in one line."""


def built(python: str = sys.executable) -> Path:
    """The library for this Python's torch, from the cache or built now. Raises CannotBuild."""
    torch, version = _torch(python)
    parts = [path.read_bytes() for path in (*SOURCES, HERE / "runtime" / "fake.h", HERE / "stubs.py", HERE / "build.py")]
    key = hashlib.sha256(b"\n".join([version.encode(), str(torch).encode(), *parts])).hexdigest()[:16]
    folder = _cache() / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        library = folder / LIBRARY
        return library if library.exists() else build(python, folder)


def build(python: str, folder: Path) -> Path:
    """Compile into a folder; returns the library's path. Raises CannotBuild."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        raise CannotBuild(f"no {' and no '.join(lacking)} here to build it with")
    torch, _ = _torch(python)
    site = torch.parent
    include = [f"-I{_headers(site / 'nvidia', name)}" for name in HEADERS]
    include.append(f"-I{site / 'triton' / 'backends' / 'nvidia' / 'include'}")  # crt/, which the wheels leave out
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        _call("g++", "-std=c++17", "-O1", "-fPIC", "-w", *include, "-c", *map(str, SOURCES), cwd=work)
        objects = sorted(work.glob("*.o"))
        (work / "stubs.c").write_text(stubs(torch / "lib", objects))
        _call("gcc", "-O1", "-fPIC", "-w", "-c", "stubs.c", cwd=work)
        _call(
            "g++",
            "-shared",
            f"-Wl,-soname,{SONAME}",
            "-o",
            LIBRARY,
            *map(str, objects),
            "stubs.o",
            "-lpthread",
            "-ldl",
            cwd=work,
        )
        (work / LIBRARY).replace(folder / LIBRARY)
    return folder / LIBRARY


def environment(library: Path, *, devices: int = 1, memory: int | None = None, counters: Path | None = None) -> dict[str, str]:
    """What to set for a process that is to use it; `memory` in bytes per device, `counters` a folder (see counters.cpp)."""
    given = {"LD_PRELOAD": str(library), "FAKE_DEVICES": str(devices)}
    given |= {} if memory is None else {"FAKE_MEMORY": str(memory)}
    return given | ({} if counters is None else {"FAKE_COUNTERS": str(counters)})


def _torch(python: str) -> tuple[Path, str]:
    """The folder of a Python's torch, which is not imported, and its version. Raises CannotBuild: not for CUDA, or none."""
    code = "import importlib.util as u; found = u.find_spec('torch'); print(found.origin if found else '')"
    origin = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    if not origin:
        raise CannotBuild(f"{python} has no torch")
    folder = Path(origin).parent
    text = (folder / "version.py").read_text(encoding="utf-8")
    if not re.search(r"^cuda\b[^=]*= *'", text, re.MULTILINE):
        raise CannotBuild("torch is not a CUDA build")
    version = re.search(r"^__version__ *= *'([^']+)'", text, re.MULTILINE)
    assert version is not None, text
    return folder, version[1]


def _headers(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        raise CannotBuild(f"no {name} in {folder}: the headers come with torch's own wheels")
    return found[0].parent


def _cache() -> Path:
    """Of this user, outside the checkout."""
    base = os.environ.get("BENCH_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "equiscale-fake-cuda"


def _call(*words: str, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"{words[0]} failed: {(done.stderr.strip().splitlines() or ['no message'])[0]}")


def main() -> None:
    """Run a program with the pretended runtime in this process's place."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        library = built(shutil.which(sys.argv[1]) or sys.argv[1])
    except CannotBuild as error:
        print(f"no pretended CUDA runtime: {error}", file=sys.stderr)
        sys.exit(2)
    os.environ["LD_PRELOAD"] = str(library)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
