"""`python -m bench` is `bench`: what lies where the user stands is on Python's path neither here nor where a run is done."""

import os
import sys

from bench.net import enter
from bench.siblings import put_first
from bench.told import told

if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[:1] == [told(os.getcwd)]:
        del sys.path[0]
        put_first()
    enter()
