"""The suite itself, Python, the packages that it needs, and others of the same names."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from bench.doctor.finding import Finding
from bench.errors import best_effort
from bench.machine.source import DISTRIBUTION, ROOT, commit, version
from bench.own_packages import HOME, OF_ITS_OWN, PACKAGES, install, shadowed

OLDER_NAME = "scalebench"
TRAIN = install("'equiscale[train]'")


def python() -> Iterator[Finding]:
    """Which Python this is."""
    yield Finding("ok", "Python", f"{platform.python_version()}, {sys.executable}")


def code() -> Iterator[Finding]:
    """Which code records will name."""
    found, changed = commit()
    if found is None:
        remedy = "install git, or set BENCH_COMMIT to the commit's 40 hexadecimal digits; until then records name none"
        yield Finding("look", "code", f"equiscale {version()}, of an unknown commit, {ROOT}", remedy)
    elif changed:
        remedy = "commit the changes before runs that others are to repeat"
        yield Finding("look", "code", f"equiscale {version()}, commit {found} and changes to it, {ROOT}", remedy)
    else:
        yield Finding("ok", "code", f"equiscale {version()}, commit {found}, {ROOT}")


def packages() -> Iterator[Finding]:
    """Whether what the suite needs is there, and new enough."""
    from packaging.requirements import Requirement

    well = 0
    for text, extra in _requirements():
        wanted = Requirement(text)
        there = best_effort(importlib.metadata.version, wanted.name)
        remedy = TRAIN if extra else install(f"'{wanted.name}{wanted.specifier}'")
        if there is None:
            lost = "what reads records works, nothing can be trained or measured" if extra else "the suite needs it"
            yield Finding("look" if extra else "fail", "packages", f"{wanted.name} is not installed; {lost}", remedy)
        elif not wanted.specifier.contains(there, prereleases=True):
            yield Finding("fail", "packages", f"{wanted.name} {there} is too old, {wanted.specifier} is needed", remedy)
        else:
            well += 1
    yield Finding("ok", "packages", f"{well} that the suite needs are there and new enough")


def _requirements() -> list[tuple[str, bool]]:
    """Each, and whether only training and measuring need it. Raises OSError, KeyError, ValueError: nothing says them."""
    if (ROOT / "pyproject.toml").is_file():
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"]["train"]
        return [(text, False) for text in project["dependencies"]] + [(text, True) for text in extras]
    listed = importlib.metadata.requires(DISTRIBUTION) or []
    both = [text.partition(";") for text in listed]
    return [(text, "train" in extra) for text, _, extra in both if "extra" not in extra or re.search("['\"]train['\"]", extra)]


def names() -> Iterator[Finding]:
    """Whether others have packages of the suite's names here."""
    if wrong := shadowed():
        yield Finding("fail", "names", wrong, f"use {OF_ITS_OWN}")
        return
    others = [path for path in sys.path if Path(path or ".").resolve() != HOME]
    found = {name: best_effort(PathFinder.find_spec, name, others) for name in ("bench", *PACKAGES)}
    strangers = {name: spec.origin for name, spec in found.items() if spec and spec.origin and not _is_ours(spec.origin)}
    for name, file in strangers.items():
        text = (
            f"another package named {name} is here, {file}; the suite's commands and `import equiscale` put the suite's first"
        )
        yield Finding("look", "names", text, f"if a program needs both, use {OF_ITS_OWN}")
    if best_effort(importlib.metadata.version, OLDER_NAME) is not None:
        text = f"{OLDER_NAME} is installed as well: the suite's first name, and that of another's program"
        yield Finding("look", "names", text, f"pip uninstall {OLDER_NAME}, then install equiscale again")
    if not strangers:
        yield Finding("ok", "names", f"bench, {', '.join(PACKAGES)} are the suite's own")


def _is_ours(file: str) -> bool:
    return Path(file).resolve().is_relative_to(HOME)
