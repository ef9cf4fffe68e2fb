"""The net under every verb: whatever goes wrong is one line, with exit code 2. BENCH_DEBUG=1 shows the traceback as well.

Known causes get their message where they arise; here what nobody foresaw is named: what, where, and that it was unexpected.
Imports nothing of the suite's but what stands alone, so that a package that is missing or broken is told like all else.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench.errors import best_effort, debugging
from bench.own_packages import HOME, PACKAGES, install

BAD_INPUT = 2
LONGEST = 300  # characters of an exception's own message
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow", "pynvml": "nvidia-ml-py"}  # of other names
NEEDED = {*DISTRIBUTIONS, "torch", "numpy", "scipy", "pandas", "seaborn", "matplotlib", "jinja2", "typer"}
NEEDED |= {"pydantic", "tqdm", "rich", "psutil", "ray", "submitit", "torchvision", "safetensors"}
# The extra of the distribution that brings a package; the others come with the distribution itself, Pillow by matplotlib.
EXTRAS = dict.fromkeys(("torch", "torchvision", "sklearn", "pynvml", "safetensors"), "train")
EXTRAS |= {"ray": "ray", "submitit": "slurm"}


def print_error(message: str, code: int = BAD_INPUT) -> int:
    """Say it in one line on standard error; the exit code."""
    print("bench: " + " ".join("".join(sign if sign.isprintable() else " " for sign in message).split()), file=sys.stderr)
    return code


def message_of(error: BaseException) -> str:
    """Its message; with BENCH_DEBUG=1 its traceback is shown first."""
    if debugging():
        traceback.print_exception(error, file=sys.stderr)
    return str(best_effort(str, error, otherwise=""))


def describe_error(error: BaseException) -> str:
    """One line on an exception that nobody foresaw, or on a package that is missing or broken."""
    message_of(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = [line for _, line in traceback.walk_tb(error.__traceback__)]
    ours = [number for number, frame in enumerate(frames) if _is_ours(frame)]
    last = ours[-1] if ours else len(frames) - 1
    name = _package(error, frames[last + 1 :])
    said = _first_words(error)
    if isinstance(error, ModuleNotFoundError) and name == (error.name or "").partition(".")[0] != "":
        return f"{name} is not installed in this Python ({sys.executable}); {_remedy(name)}"
    if name:
        file = getattr(sys.modules.get(name), "__file__", None) or getattr(error, "path", None) or ""
        return (
            f"{name} cannot be imported here{f' ({file})' if file else ''}: {type(error).__name__}: {said}; install it again "
            f"({_remedy(name)}), or take away what is in its way; BENCH_DEBUG=1 shows the traceback"
        )
    kind = "exit" if isinstance(error, SystemExit) else type(error).__name__
    where = f" ({_place(frames[last], lines[last])})" if frames else ""
    return f"unexpected {kind}{': ' if said else ''}{said}{where}; BENCH_DEBUG=1 shows the traceback"


def _remedy(package: str) -> str:
    """What to type where it is missing."""
    if package in EXTRAS:
        what = "training and measuring need it: " if EXTRAS[package] == "train" else ""
        return what + install(f"'equiscale[{EXTRAS[package]}]'")
    return "type: python -m " + install(DISTRIBUTIONS.get(package, package))


def _package(error: BaseException, after: Sequence[FrameType]) -> str:
    """The foreign package whose import failed, as the error itself or the frames after the suite's last one tell."""
    name = (error.name or "") if isinstance(error, ImportError) else ""
    if not name:
        modules = [str(frame.f_globals.get("__name__")) for frame in after if frame.f_code.co_name == "<module>"]
        modules = [module for module in modules if not module.startswith("importlib")]
        # scipy fails for its numpy: the innermost of those that one may install
        inner = (module for module in reversed(modules) if module.partition(".")[0] in NEEDED)
        name = next(inner, modules[0] if modules else "")
    name = name.partition(".")[0]
    return "" if name in (*PACKAGES, "bench", "__main__") else name


def _is_ours(frame: FrameType) -> bool:
    """Whether its code is the suite's or a plugin's, that is, neither Python's own nor an installed package's."""
    file = frame.f_code.co_filename
    if any(file.startswith(str(HOME / package) + os.sep) for package in (*PACKAGES, "bench")):
        return True
    if frame.f_globals.get("__name__", "").partition(".")[0] in NEEDED:  # or what is in its place
        return False
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not file.startswith(("<", *installed)) and "site-packages" not in file


def _place(frame: FrameType, line: int) -> str:
    file = Path(frame.f_code.co_filename)
    for folder in (HOME, Path(os.path.curdir).absolute()):
        if file.is_relative_to(folder):
            return f"{file.relative_to(folder)}:{line}"
    return f"{file}:{line}"


def _first_words(error: BaseException) -> str:
    line = " ".join(str(best_effort(str, error, otherwise="")).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
