"""The file that `bench new` writes: the template of a model, under another name."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import models
from bench.errors import BenchError
from bench.plan import match_tasks
from leaderboard.errors import one_line, reason

TEMPLATE = Path(__file__).with_name("template.py")
SECTIONS = {"mnist": "mnist-scale-*", "stl": "stl10+"}  # marks in the template, and the tasks that they are for
RULES = "use small letters, digits and '-', a letter first: my-net"
LONGEST = 60  # of a name; with its options it may have 100


def check_name(name: str) -> str:
    """The Python name that goes with a model's. Raises BenchError: it is none that a new model can have."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST:
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
        raise BenchError(f"a model cannot be called {one_line(name, 80)!r}: {RULES}{f'; try {better}' if better else ''}")
    known = models.list_models()
    if name in known:
        raise BenchError(f"{name!r} is a model already ({_origin(name)}); choose another name, such as my-{name}")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise BenchError(f"a file {module}.py would hide Python's or an installed package's {module}; try my-{name}")
    return module


def _origin(name: str) -> str:
    return next(model.origin for model in models.infos() if model.name == name)


def text_for(name: str, module: str, task: str, file: str) -> str:
    """The template for this model, on the tasks of a glob. Raises BenchError: the glob matches no task."""
    tasks = match_tasks([task])
    wanted = {mark for mark, globs in SECTIONS.items() if any(fnmatchcase(one, globs) for one in tasks)}
    lines: list[str] = []
    section = ""
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        if mark := re.fullmatch(r"# \[(\w+)\]", line):
            section = mark[1]
            continue
        of_line = re.search(r"\s+(?:# )?\[(\w+)\]$", line)
        here = of_line[1] if of_line else section
        if here in wanted or here not in SECTIONS:
            lines.append(line[: of_line.start()] if of_line else line)
    text = "\n".join(lines) + "\n"
    if "mnist" in wanted and task != "*":
        text = text.replace('"mnist-scale-*"', json.dumps(task))
    names = {"my_net.py": file, "my-net": name, "my_net": module}
    text = re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)
    return re.sub(r"\n{3,}", "\n\n\n", text)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises BenchError: it is, or it cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BenchError(
            f"{one_line(path)} is there already and is never overwritten; choose another --output FILE.py"
        ) from None
    except OSError as error:
        raise BenchError(f"{one_line(path)} cannot be written: {reason(error)}; choose another --output FILE.py") from error
