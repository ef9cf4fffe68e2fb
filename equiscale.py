"""The console script `bench`. Importing this module puts the suite's packages in front of others of their names.

    import equiscale                       # not needed where no other package is named datasets or models
    import datasets, models, leaderboard    # the suite's

Installed, this is the file equiscale/__init__.py, and the packages lie in the folder equiscale beside it: there nobody
overwrites them. The file equiscale.pth lets `import models` find them. Of an editable installation they are the checkout's.
"""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

HOME = Path(__file__).resolve().parent
if (HOME / "bench").is_dir() and str(HOME) not in sys.path[:1]:
    sys.path.insert(0, str(HOME))
with suppress(Exception):  # `main` says what is wrong with it
    import_module("bench")  # puts the packages beside it first


def main() -> None:
    """Run the command line and exit."""
    try:
        from bench.__main__ import enter
    except Exception as error:
        found = getattr(sys.modules.get("bench"), "__file__", None) or HOME / "bench"
        print(f"bench: {found} is not the suite's or not whole ({error}); install equiscale again", file=sys.stderr)
        sys.exit(2)
    enter()
