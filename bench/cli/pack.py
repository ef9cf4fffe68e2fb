"""`bench pack`: what a machine without a network needs, to be copied there."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import SixRealizations


def pack(
    folder: Annotated[Path, Argument(help="A new folder, or that of an earlier pack.")],
    python: Annotated[
        str | None, Option("--for", help="The Python there, e.g. python3.12: fetch the wheels that it lacks.")
    ] = None,
    platform: Annotated[str, Option(help="Of that Python.")] = "linux_x86_64",
    missing: Annotated[
        list[str] | None,
        Option(help="With --for: a package that it lacks. Repeatable. Default: pydantic, typer, theirs."),
    ] = None,
    wheel: Annotated[list[Path] | None, Option(help="A wheel of your own to take along. Repeatable.")] = None,
    task: Annotated[list[str] | None, Option(help="Tasks whose data to take; a glob. Repeatable.")] = None,
    stl10: Annotated[bool, Option("--stl10", help="Also the data of stl10+, 360 MB.")] = False,
    realizations: SixRealizations = "0-5",
) -> None:
    """Pack the suite with its commit, Python packages and verified data into a few files of less than 40 MB."""
    from bench.errors import BenchError
    from bench.packing.pack import pack as fill
    from bench.packing.wheels import MISSING, check_fit, download
    from bench.plan import match_tasks, parse_realizations

    if missing and python is None:
        raise BenchError("--missing needs the Python they are for, such as --for python3.12")
    numbers = parse_realizations(realizations)
    tasks = match_tasks([*(task or ["mnist-scale-*"]), *(["stl10+"] if stl10 else [])])
    for given in wheel or []:
        check_fit(given, python, platform)
    try:
        scratch = tempfile.TemporaryDirectory()
    except OSError as error:
        raise BenchError(f"no temporary files can be written ({error.strerror}); set TMPDIR to a folder for them") from error
    with scratch as place:
        fetched = [] if python is None else download(missing or MISSING, python, platform, Path(place))
        packed = fill(folder, [*fetched, *(wheel or [])], tasks, numbers)
    for item in packed:
        print(f"{item.size / 1e6:>8.1f} MB  {item.path.relative_to(folder)}  {item.what}")
    print(f"{sum(item.size for item in packed) / 1e6:>8.1f} MB  in {len(packed)} files")
    _print_untracked()
    where = shlex.quote(folder.resolve().name)
    print(f"copy it, scp -r {shlex.quote(str(folder))} HOST:, and type there:")
    print(f"    sh {where}/setup.sh && cd {where} && python3 -m bench sprint --budget 14m")


def _print_untracked() -> None:
    from bench.errors import best_effort
    from bench.machine.source import ROOT, git
    from leaderboard.errors import one_line

    listed = best_effort(git, ROOT, "ls-files", "-z", "--others", "--exclude-standard", otherwise="")
    names = [name for name in listed.split("\0") if name]
    if names:
        print(f"left out, since git does not know them: {len(names)} files, such as {one_line(names[0])}")
