"""matplotlib for files alone, whatever the environment asks it to be."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def headless() -> Iterator[None]:
    """What is drawn within goes to files, by matplotlib's own defaults.

    A notebook hands its MPLBACKEND on to the commands that it starts, where matplotlib cannot even be imported with it; and a
    matplotlibrc that asks for LaTeX, say, is meant for other figures. Without a home that can be written to, it keeps its fonts
    in a temporary folder, and need not say so. Outside everything stays as it was.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    given = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    try:
        import matplotlib as mpl
    finally:
        del os.environ["MPLBACKEND"]
        if given is not None:
            os.environ["MPLBACKEND"] = given
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            yield
    finally:
        logger.setLevel(level)
