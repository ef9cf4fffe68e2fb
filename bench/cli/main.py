"""The command line: `bench VERB`. One file per verb beside this one; heavy imports stay inside the verbs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from bench.cli.catch_all import describe_error, message_of, print_error
from bench.cli.check import check
from bench.cli.cite import cite
from bench.cli.compare import compare
from bench.cli.completion import completion
from bench.cli.data import data
from bench.cli.doctor import doctor
from bench.cli.equivariance import equivariance
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_
from bench.cli.new import new
from bench.cli.pack import pack
from bench.cli.profile import profile
from bench.cli.run import run
from bench.cli.scale_sweep import scale_sweep
from bench.cli.sprint import sprint
from bench.cli.submit import submit
from bench.cli.time import time
from bench.cli.timings import timings
from bench.cli.verify import verify
from bench.cli.version import options
from bench.errors import BenchError, Stopped
from bench.machine.streams import never_fail
from bench.scheduling.stop import MORE_TO_DO, stopped_by_signals
from datasets import DataError
from leaderboard import RecordError
from models import ModelError

VERBS: dict[Callable[..., Any], str] = {  # in the order of `bench --help`, with what it says of each
    run: "Train models on tasks; what is done is skipped.",
    new: "Write a working layer, its network and its registration.",
    check: "Check a model before it is trained: sound, equivariant, fast.",
    data: "Fetch the data, build the realizations, check every hash.",
    list_: "List models, tasks, protocols and plans.",
    leaderboard: "Rebuild the board from records, or check it.",
    compare: "Say how far apart two models are, and how sure that is.",
    verify: "Repeat a run from its record and say whether it agrees.",
    submit: "Put finished runs into records/ and onto the board.",
    time: "Time training steps and inference.",
    timings: "Compare timings across models and devices.",
    profile: "Say where a training step goes; leave a trace.",
    equivariance: "Measure the equivariance error of every layer.",
    scale_sweep: "Test trained weights on digits of scales never trained on.",
    cite: "Print BibTeX of models' papers, and of the suite.",
    doctor: "Say what keeps runs from being done here, and what helps.",
    pack: "Pack everything for a machine without a network.",
    sprint: "Use a rented GPU to the end: tests, runs, timings.",
    completion: "Print a script by which your shell completes commands.",
}


class Verb(TyperCommand):
    """A verb whose options take what they are called: `--task TASK`, not `--task <list[str]>`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if isinstance(parameter, TyperOption) and not parameter.is_flag:
                parameter.metavar = parameter.metavar or str(parameter.name).upper()


app = typer.Typer(
    name="bench",
    help="The reference benchmark for scale-equivariant networks: same data, same protocol, one leaderboard.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
app.callback()(options)
for _verb, _in_short in VERBS.items():
    app.command(_verb.__name__.strip("_").replace("_", "-"), cls=Verb, short_help=_in_short)(_verb)
app.command("generalise", hidden=True)(scale_sweep)  # its name in version 0.1; goes with the next


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 done, 1 a run failed or disagrees or the board is stale, 2 bad input, 75 stopped with more to do.
    """
    if arguments is None:
        never_fail()
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] == "help":
        given = [*given[1:], "--help"]
    try:
        _refuse_empty_words(given)
        with stopped_by_signals():
            result = app(args=given, prog_name="bench", standalone_mode=False)
    except typer.TyperException as error:
        verb = f" {given[0]}" if given[0] in [command.name for command in app.registered_commands] else ""
        return print_error(f"{_message(error)}; see bench{verb} --help")
    except (BenchError, ModelError, DataError, RecordError) as error:
        return print_error(message_of(error))
    except Stopped as stopped:
        return print_error(f"stopped ({stopped}); what is done is saved, the same command resumes", MORE_TO_DO)
    except (KeyboardInterrupt, typer.Abort):
        return print_error("interrupted; what is done is saved, the same command resumes", MORE_TO_DO)
    except (Exception, SystemExit) as error:  # the net: nobody foresaw it
        return print_error(describe_error(error))
    return result if isinstance(result, int) else 0


def _refuse_empty_words(given: Sequence[str]) -> None:
    """Raises BenchError: a word is empty, which no verb has a use for; as a path it would mean this folder."""
    for before, word in zip(["bench", *given], given, strict=False):
        empty = re.fullmatch(r"(?:(--[a-z-]+)=)?\s*", word)
        if empty:
            raise BenchError(
                f"what follows {empty[1] or before} is empty, as an unset variable is; give it a value or leave it out"
            )


def _message(error: typer.TyperException) -> str:
    return str(getattr(error, "format_message", error.__str__)()).rstrip(".")
