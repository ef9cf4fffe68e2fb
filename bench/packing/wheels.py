"""Wheels for a machine that cannot fetch any: downloaded for its Python, in the locked versions, hashes checked; unpacked."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError

# What a machine with Python 3.12 and torch 2.11 once lacked, or held too old, and what typer asks for besides.
MISSING = (
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "typing-extensions",
    "typer",
    "annotated-doc",
    "shellingham",
)
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
GLIBC = range(40, 4, -1)  # pip takes manylinux_2_N for exactly the N's it is given


def download(names: Sequence[str], python: str, platform: str, folder: Path) -> list[Path]:
    """Fetch the locked versions' wheels for 'python3.12' on 'linux_x86_64' into `folder`; their paths.

    Raises BenchError: no such Python or platform, a name that is not in the lock, no wheel, no network.
    """
    found = re.fullmatch(r"(?:python)?(3\.\d+)", python)
    if not found:
        raise BenchError(f"--for {python!r} is no Python; give one such as python3.12")
    if not re.fullmatch(r"\w+", platform):
        raise BenchError(f"--platform {platform!r} is none; give one such as linux_x86_64")
    tags = [platform]
    if platform.startswith("linux_"):
        machine = platform.removeprefix("linux_")
        tags += [f"manylinux_2_{n}_{machine}" for n in GLIBC] + [f"manylinux2014_{machine}", f"manylinux1_{machine}"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as wanted:
        wanted.write("".join(map(_locked, names)))
        wanted.flush()
        call = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        call += ["--only-binary=:all:", "--require-hashes", "--implementation=cp", "--python-version", found[1]]
        call += [word for tag in tags for word in ("--platform", tag)] + ["--dest", str(folder), "--requirement", wanted.name]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module named pip" in line]
        reason = (lines or done.stderr.splitlines() or ["pip said nothing"])[-1].strip()
        raise BenchError(f"the wheels for {python} on {platform} cannot be had: {reason}; or name them yourself: --wheel PATH")
    return sorted(folder.glob("*.whl"))


def _locked(name: str) -> str:
    """The lock's lines of a package: its version and hashes, where several the first. Raises BenchError."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    found = re.search(rf"^{re.escape(plain)}==[^\n]*\n(?:    --hash=[^\n]*\n)+", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise BenchError(f"{name!r} is not in {LOCK.name}, which says the versions; name its wheel yourself: --wheel PATH")
    return re.sub(r"^(\S+==[^\s;]+)[^\\\n]*", r"\1 ", found[0])  # without the marker, which is this machine's to answer


def check_fit(wheel: Path, python: str | None, platform: str) -> None:
    """Raises BenchError: no such file, no wheel, or one for another Python or platform than these."""
    parts = wheel.name.removesuffix(".whl").split("-")
    if not wheel.is_file() or wheel.suffix != ".whl" or len(parts) < 5:
        raise BenchError(f"--wheel {str(wheel)!r}: no such wheel")
    of_python, abi, of_platform = parts[-3:]
    if python is None:
        return
    minor = python.rpartition(".")[2]
    fits = {"py3", f"py3{minor}", f"cp3{minor}"} & set(of_python.split(".")) or abi == "abi3"
    if not fits or (of_platform != "any" and not of_platform.endswith(platform.partition("_")[2])):
        raise BenchError(f"--wheel {wheel.name} is not for {python} on {platform}; give one that is")


def unpack(wheels: Sequence[Path], folder: Path, suite: Path) -> list[str]:
    """Unpack wheels as an installation would lay them out, less their scripts; 'name version' of each, sorted.

    Raises BenchError: one cannot be read, or would overwrite another's files or those of `suite`.
    """
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", member.filename)
                    target = folder / name
                    if member.is_dir() or re.match(r"[^/]+\.data/", name):
                        continue
                    if target.exists() or (suite / Path(name).parts[0]).exists() or ".." in Path(name).parts:
                        raise BenchError(f"{wheel.name} holds {name}, which is here already; give each package once")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(member))
        except (OSError, zipfile.BadZipFile) as error:
            raise BenchError(f"the wheel {str(wheel)!r} cannot be read ({type(error).__name__})") from error
    return sorted(" ".join(wheel.name.split("-")[:2]) for wheel in wheels)
