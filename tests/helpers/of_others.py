"""Files of others, which tests compare with and which are not part of this repository."""

import os
from pathlib import Path

import pytest


def of_others(name: str) -> Path:
    """Such a file, in the folder `$BENCH_SHARED`, else in `shared` beside the repository; the test is skipped without it."""
    file = Path(os.environ.get("BENCH_SHARED", Path(__file__).parents[3] / "shared")) / name
    if not file.is_file():
        pytest.skip(f"{name} is not at hand (BENCH_SHARED): it is not part of this repository")
    return file
