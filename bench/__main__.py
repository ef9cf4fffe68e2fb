"""`python -m bench` is `bench`: what lies where the user stands is on Python's path neither here nor where a run is done."""

import os
import sys

from bench.cli.catch_all import enter
from bench.errors import best_effort
from bench.own_packages import put_first

if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[:1] == [best_effort(os.getcwd)]:
        del sys.path[0]
        put_first()
    enter()
