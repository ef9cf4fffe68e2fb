"""The committed board: the commands that make its files from records/, here once for `make board` and `bench submit` alike."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.machine.processes import child_environment, python
from leaderboard.errors import one_line

RECORDS = Path("records")
LEADERBOARD = ("leaderboard", "--readme", "README.md", "--folder", "docs/board")
FIGURES = ("--plot", "docs/timings.svg", "--plot", "docs/timings.png")
TIMINGS = ("timings", "--records", "records", "--output", "docs/timings.md", *FIGURES)
BOARD = (LEADERBOARD, TIMINGS)
WRITTEN = ("LEADERBOARD.md", "README.md", "docs")  # in which all of its files are, beside others


def check_root(root: Path) -> None:
    """Raises BenchError: this is no checkout, with records and a board."""
    lacking = [name for name in ("records", *WRITTEN) if not (root / name).exists()]
    if lacking:
        raise BenchError(
            f"{one_line(root)} is no checkout of the suite (there is no {', '.join(lacking)}); clone it, cd there, and give "
            "the folder of your runs: bench submit PATH/TO/results"
        )


def rebuild(root: Path) -> None:
    """Write the board's files in a checkout, or in a copy of it. Raises BenchError: that failed."""
    for words in BOARD:
        _run(root, words)


def stale(root: Path, copy: Path) -> list[str]:
    """What of the board's text is not what the records give, one line each. `copy`: of the checkout, to be written to.

    Figures are told by the digests that they hold; that of the timings, which holds none, is not compared.
    """
    found = []
    try:
        _run(root, (*LEADERBOARD, "--check"))
    except BenchError as error:
        found.append(str(error))
    try:
        _run(copy, TIMINGS)
    except BenchError as error:
        return [*found, str(error)]
    page = TIMINGS[TIMINGS.index("--output") + 1]
    if (copy / page).read_bytes() != (root / page).read_bytes():
        found.append(f"{page}: stale; write it again: make board")
    return found


def _run(folder: Path, words: Sequence[str]) -> None:
    done = subprocess.run(
        python("bench", *words), cwd=folder, env=child_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise BenchError(f"bench {' '.join(words)}: {one_line(said.removeprefix('bench: '))}")
