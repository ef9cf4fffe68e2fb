"""`bench check`: whether a model is sound, how equivariant, how large and how fast, before it is trained."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from bench.cli.json_output import Json, print_json
from bench.cli.options import Plugin, Task

if TYPE_CHECKING:
    from bench.checking.check import Checked


def check(
    what: Annotated[str, Argument(help="A .py file that registers models, or the name of a model.")],
    task: Task = None,
    plugin: Plugin = None,
    limit: Annotated[float | None, Option(min=1, help="Seconds for each check. Default: 120, on stl10+ 600.")] = None,
    as_json: Json = False,
) -> int:
    """Check a model on every task that it is for: pass, look or fail, with the reason and what to do. Exit code 1: a fail.

    Outputs, gradients, precision, repetition, parameters, time, equivariance by layer beside cnn's and SESN's.
    """
    from bench.checking.check import Checker

    is_file = what.endswith(".py")
    plugins = [str(file) for file in plugin or []] + ([what] if is_file else [])
    checker = Checker(plugins, [] if is_file else [what], task or ["*"], limit)
    found: list[Checked] = []
    try:
        for one in checker.findings():
            if not as_json:
                _print(one, found[-1] if found else None)
            found.append(one)
    finally:
        checker.close()
    said = Counter(one.finding.verdict for one in found)
    counts = {verdict: said[verdict] for verdict in ("pass", "look", "fail")}
    if as_json:
        print_json({"counts": counts, "findings": found})
    else:
        print(f"\n{counts['pass']} pass, {counts['look']} to look at, {counts['fail']} fail")
    return 1 if counts["fail"] else 0


def _print(one: Checked, before: Checked | None) -> None:
    if before is None or (before.model, before.task) != (one.model, one.task):
        print(f"{'' if before is None else chr(10)}{one.model} on {one.task}")
    indent = " " * 21
    print(f"  {one.finding.verdict}  {one.check:<12} {one.finding.text}")
    for line in one.finding.more:
        print(f"{indent}{line}")
    if one.finding.todo and one.finding.verdict != "pass":
        print(f"{indent}-> {one.finding.todo}")
    print(end="", flush=True)
