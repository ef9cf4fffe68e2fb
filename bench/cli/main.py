"""The command line: `bench VERB`. One file per verb beside this one; heavy imports stay inside the verbs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import typer

import datasets
import leaderboard
import models
from bench.cli import compare, data, run, verify
from bench.cli import equivariance as equivariance_verb
from bench.cli import leaderboard as leaderboard_verb
from bench.cli import list as list_verb
from bench.cli import pack as pack_verb
from bench.cli import profile as profile_verb
from bench.cli import scale_sweep as generalise_verb
from bench.cli import sprint as sprint_verb
from bench.cli import time as time_verb
from bench.cli import timings as timings_verb
from bench.cli.catch_all import complain, told_of, traced
from bench.errors import BenchError, Stopped
from bench.machine.streams import never_fail
from bench.scheduling.stop import MORE_TO_DO, heeded

app = typer.Typer(
    name="bench",
    help="The reference benchmark for scale-equivariant networks: same data, same protocol, one leaderboard.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("data")(data.data)
app.command("time")(time_verb.time_models)
app.command("equivariance")(equivariance_verb.equivariance)
app.command("generalise")(generalise_verb.generalise)
app.command("timings")(timings_verb.timings)
app.command("profile")(profile_verb.profile)
app.command("list")(list_verb.list_things)
app.command("leaderboard")(leaderboard_verb.leaderboard)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("pack")(pack_verb.pack)
app.command("sprint")(sprint_verb.sprint)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 done, 1 a run failed or disagrees or the board is stale, 2 bad input, 75 stopped with more to do.
    """
    if arguments is None:
        never_fail()
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        given = ["--help"]
    try:
        _refuse_nothing(given)
        with heeded():
            result = app(args=given, prog_name="bench", standalone_mode=False)
    except typer.TyperException as error:
        verb = f" {given[0]}" if given[0] in [command.name for command in app.registered_commands] else ""
        return complain(f"{_message(error)}; see bench{verb} --help")
    except (BenchError, models.ModelError, datasets.DataError, leaderboard.RecordError) as error:
        return complain(traced(error))
    except Stopped as stopped:
        return complain(f"stopped ({stopped}); what is done is saved, the same command goes on from here", MORE_TO_DO)
    except (KeyboardInterrupt, typer.Abort):
        return complain("interrupted; what is done is saved, the same command goes on from here", MORE_TO_DO)
    except (Exception, SystemExit) as error:  # the net: nobody foresaw it
        return complain(told_of(error))
    return result if isinstance(result, int) else 0


def _refuse_nothing(given: Sequence[str]) -> None:
    """Raises BenchError: a word is empty, which no verb has a use for; as a path it would mean this folder."""
    for before, word in zip(["bench", *given], given, strict=False):
        nothing = re.fullmatch(r"(?:(--[a-z-]+)=)?\s*", word)
        if nothing:
            raise BenchError(
                f"what follows {nothing[1] or before} is empty, as an unset variable is; give it a value or leave it out"
            )


def _message(error: typer.TyperException) -> str:
    return str(getattr(error, "format_message", error.__str__)()).rstrip(".")
