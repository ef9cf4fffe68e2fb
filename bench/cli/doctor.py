"""`bench doctor`: what keeps runs from being done here, or makes them slow or wrong, each with its remedy. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from bench.cli.json_output import Json, print_json


def doctor(
    results: Annotated[Path, Option(help="Where results would go.")] = Path("results"),
    json: Json = False,
) -> int:
    """Examine Python, torch, driver, GPU, processors, disk and data, and say what to do. Writes nothing.

    ok, look (it works, and something is missing or better otherwise) or fail; exit 1 if anything fails.
    """
    from bench.doctor.examination import examination
    from bench.doctor.finding import LEVELS

    findings = examination(results)
    count: dict[str, int] = {level: sum(one.level == level for one in findings) for level in LEVELS}
    if json:
        print_json({**count, "findings": findings})
        return int(count["fail"] > 0)
    for one in findings:
        print(f"{one.level:<5} {one.subject:<16} {one.text}")
        if one.remedy:
            print(f"{'':<22} -> {one.remedy}")
    print(", ".join(f"{number} {level}" for level, number in count.items()))
    return int(count["fail"] > 0)
