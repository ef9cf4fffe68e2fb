"""Which code a result is of: the suite's version and commit, and a plugin's or package's own.

What cannot be told of the suite is unknown, and never an error.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, best_effort

if TYPE_CHECKING:  # a wheel is built with nothing of the suite's installed, and asks here for the commit
    from leaderboard.records.schema import Record
    from models import ModelInfo

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "equiscale"
COMMIT_FILE = "COMMIT"
COMMIT_VARIABLE = "BENCH_COMMIT"
GIT_SECONDS = 10.0  # for an answer of git's


def version(root: Path = ROOT) -> str:
    """The suite's version: of the pyproject.toml beside the code, else of the installed package, else "unknown"."""
    found = best_effort(lambda: _project(root)["version"]) or best_effort(lambda: _installed(root).version)
    return found if isinstance(found, str) else "unknown"


def repository(root: Path = ROOT) -> str:
    """The address of the suite's repository: of the pyproject.toml beside the code, else of the installed package, else ""."""
    found = best_effort(lambda: _project(root)["urls"]["Repository"]) or best_effort(_address_installed, root)
    return found if isinstance(found, str) else ""


def _project(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project if project["name"] == DISTRIBUTION else {}


def _installed(root: Path) -> importlib.metadata.Distribution:
    """The distribution whose files these are, as an environment may hold another one. Raises PackageNotFoundError."""
    beside = importlib.metadata.distributions(name=DISTRIBUTION, path=[str(root.parent), str(root)])
    return next(iter(beside), None) or importlib.metadata.distribution(DISTRIBUTION)


def _address_installed(root: Path) -> str | None:
    pairs = (text.split(", ", 1) for text in _installed(root).metadata.get_all("Project-URL") or ())
    return dict(pairs).get("Repository")


def commit(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """The commit of the suite's own files, and whether they hold changes beyond it; (None, None) where that is unknown.

    As git says where ``root`` is a checkout's top folder. Where it cannot say (no git, a folder that belongs to somebody else,
    no .git), as the environment variable BENCH_COMMIT says, else, without a .git, the file COMMIT in ``root``, which
    `bench pack` and the wheel put there. Either holds 40 hexadecimal digits, and "-dirty" after them if there were changes;
    anything else is ignored. git is asked once per process, for what has been imported does not change with the files.
    """
    found = _by_git(root)
    if found is None:
        found = parse_commit(os.environ.get(COMMIT_VARIABLE, ""))
    if found is None and not best_effort((root / ".git").exists, otherwise=True):
        found = parse_commit(best_effort((root / COMMIT_FILE).read_text, "ascii", otherwise=""))
    return found or (None, None)


def parse_commit(text: str) -> tuple[str, bool] | None:
    """'0123…cdef' or '0123…cdef-dirty' -> the commit and whether there were changes; None: it is neither."""
    found = re.fullmatch(r"([0-9a-f]{40})(-dirty)?", text.strip().lower())
    return found and (found[1], found[2] is not None)


@cache
def _by_git(root: Path) -> tuple[str, bool] | None:
    return best_effort(_asked_of_git, root) if best_effort((root / ".git").exists, otherwise=False) else None


def _asked_of_git(root: Path) -> tuple[str, bool] | None:
    """None: git takes the folder for a part of another repository, or speaks nonsense. Raises OSError, SubprocessError."""
    top, _, head = git(root, "rev-parse", "--show-toplevel", "HEAD").rpartition("\n")
    if Path(top).resolve() != root.resolve() or not re.fullmatch(r"[0-9a-f]{40,64}", head):
        return None
    return head, bool(git(root, "status", "--porcelain", "--untracked-files=no"))


def _environment() -> dict[str, str]:
    """For git. GIT_DIR and its like name another repository; GIT_CONFIG_* stay, for they may say that this folder is safe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0"}  # asking must not get in the way of the user's own git


def git(root: Path, *arguments: str) -> str:
    """What git says of ``root``, without blanks around it. Raises OSError, SubprocessError."""
    with tempfile.TemporaryFile() as answer:  # a file, not a pipe: a child that git left behind cannot keep us waiting
        subprocess.run(
            ["git", "-C", str(root), *arguments],
            check=True,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            timeout=GIT_SECONDS,
        )
        answer.seek(0)
        return os.fsdecode(answer.read()).strip()


def model_of(record: Record) -> ModelInfo:
    """What is known here of a record's model. Built-in code may differ: its commit stands in the record.

    Raises ModelError: no such model, or --plugin was forgotten; BenchError: a plugin or package whose code is another by now.
    """
    import models

    model = models.info(record.model, record.task)
    if record.source and record.source != model.source:
        raise BenchError(
            f"{record.run_id}: the code of {record.model} ({model.origin}) is not that of the record, SHA-256 "
            f"{record.source[:12]} then, {model.source[:12] or 'none'} now; give the file as it was: --plugin FILE"
        )
    return model


def name_at_initialisation(model: str, task: str, seed: int) -> str:
    """What a measurement of a network as it is built is called; of a plugin's or package's by its code, too."""
    import models

    source = models.info(model, task).source
    return f"initialisation-seed{seed}" + (f"-{source[:10]}" if source else "")
