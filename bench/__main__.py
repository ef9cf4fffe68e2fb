"""`python -m bench` is `bench`: what lies where the user stands is on Python's path neither here nor where a run is done."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from bench.cli.catch_all import describe_error, print_error
from bench.errors import best_effort
from bench.machine.streams import never_fail
from bench.own_packages import put_first, shadowed
from bench.scheduling.stop import MORE_TO_DO


def enter() -> NoReturn:
    """The command line as a program: import what the verbs need inside the net, run the one that was typed, exit."""
    never_fail()
    try:
        Path.cwd()
    except OSError:  # libraries end the process without a word there
        sys.exit(print_error("the folder where you stand no longer exists; change to another one"))
    wrong = shadowed()
    if wrong is not None:
        sys.exit(print_error(wrong))
    try:
        from bench.cli.main import main
    except KeyboardInterrupt:
        sys.exit(print_error("interrupted", MORE_TO_DO))
    except (Exception, SystemExit) as error:
        sys.exit(print_error(describe_error(error)))
    main()
    sys.exit(0)


if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[:1] == [best_effort(os.getcwd)]:
        del sys.path[0]
        put_first()
    enter()
