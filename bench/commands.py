"""Options and commands as they are typed, so that what is printed can be typed again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from leaderboard.records.schema import Record

# Of `bench run`: where and on what a run is done, not which run. A record's command leaves it out, what is printed does not.
DEFAULTS: Mapping[str, object] = {"results": Path("results"), "anew": False, "device": "auto", "engine": "local"}


def option_words(options: Mapping[str, object]) -> list[str]:
    """{"jobs": 2, "slurm": ["a=1"], "compile": False} as --jobs 2 --slurm a=1 --no-compile; None is left out."""
    found: list[str] = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        else:
            each = value if isinstance(value, list | tuple) else [] if value is None else [value]
            found += [word for one in each for word in (f"--{option}", str(one))]
    return found


def with_options(command: str, options: Mapping[str, object]) -> str:
    """A run's command with what repeats it in this place; options at their defaults need not be typed."""
    further = option_words({name: value for name, value in options.items() if value != DEFAULTS.get(name)})
    return " ".join([command, *map(shlex.quote, further)])


def repeat_command(record: Record, results: Path) -> str:
    """What to type to do a record's run again in the results folder that it is from."""
    return with_options(record.command, {"results": results})
