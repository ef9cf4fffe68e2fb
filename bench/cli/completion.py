"""`bench completion`: scripts by which shells complete what is typed, and the answers that these scripts ask for.

A script gives the line up to the cursor to `bench completion SHELL --line LINE` and gets a candidate a line, each for the whole
last word. Whatever goes wrong, the answer is nothing: a shell completes files then, as it does without.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import PurePath
from typing import Annotated, Any

from typer import Argument, Context, Option

from bench.cli.candidates import BY_NAME
from bench.errors import BenchError

COMMANDS = ("bench", "equiscale")
SAFE = re.compile(r"[\w.,@=+:/-]+", re.ASCII)  # to a shell too

BASH = r"""# bash: put this into ~/.bashrc:  eval "$(bench completion bash)"
_bench_completion() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT}
    COMPREPLY=($("${1/#\~/$HOME}" completion bash --line "$line" 2>/dev/null </dev/null))
    # bash replaces what follows the last of its word breaks, such as =, and an @ with it
    local word=${line##*[[:space:]]}
    local kept=${word%"${word##*["$COMP_WORDBREAKS"]}"}
    COMPREPLY=("${COMPREPLY[@]#"${kept%@}"}")
}
complete -o bashdefault -o default -F _bench_completion bench equiscale
"""
ZSH = r"""#compdef bench equiscale
# zsh: put this into ~/.zshrc, after compinit:  eval "$(bench completion zsh)"
_bench_completion() {
    local -a found
    found=(${(f)"$(${~words[1]} completion zsh --line "${(j: :)words[1,CURRENT]}" 2>/dev/null </dev/null)"})
    if (( $#found )); then _describe bench found; else _files; fi
}
if [[ $funcstack[1] == _bench ]]; then _bench_completion "$@"; else compdef _bench_completion bench equiscale; fi
"""
FISH = r"""# fish: type this once:  bench completion fish > ~/.config/fish/completions/bench.fish
function __bench_completion
    set -l words (commandline -opc)
    set -l found ($words[1] completion fish --line (commandline -cp) 2>/dev/null </dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c bench -f -a '(__bench_completion)'
complete -c equiscale -f -a '(__bench_completion)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
FORMS: dict[str, Callable[[str, str], str]] = {
    "bash": lambda value, said: value,
    "zsh": lambda value, said: f"{value.replace(':', chr(92) + ':')}:{said}" if said else value.replace(":", chr(92) + ":"),
    "fish": lambda value, said: f"{value}\t{said}",
}


def completion(
    ctx: Context,
    shell: Annotated[str, Argument(help="bash, zsh or fish.")],
    line: Annotated[str | None, Option(hidden=True, help="What is typed so far.")] = None,
) -> None:
    """Print a script that lets a shell complete verbs, options, models, tasks, protocols, plans and run ids.

    The script's first lines say where it goes, for example: eval "$(bench completion bash)" in ~/.bashrc.
    """
    from models.errors import suggestion

    if shell not in SCRIPTS:
        raise BenchError(
            f"no completion for {shell!r}{suggestion(shell, SCRIPTS)}; type: bench completion {' | '.join(SCRIPTS)}"
        )
    if line is None:
        print(SCRIPTS[shell], end="")
        return
    for value, said in candidates(ctx.find_root().command, line):
        print(FORMS[shell](value, said))


def candidates(group: Any, line: str) -> list[tuple[str, str]]:
    """What the last word of a line may become, and what is said of each. `group`: the whole command line, of Typer's."""
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            *words, incomplete = _words(line)
            return [(value, said) for value, said in _found(group, words, incomplete) if SAFE.fullmatch(value)]
    except (Exception, SystemExit):  # a line may be anything
        return []


def _words(line: str) -> list[str]:
    """The words after the command's own, the last one incomplete, perhaps empty."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
            break
        except ValueError:  # within quotes
            continue
    else:
        return [""]
    if line[-1:].isspace():
        words.append("")
    named = [place for place, word in enumerate(words) if PurePath(word).name in COMMANDS]
    return words[(named or [0])[0] + 1 :] or [""]


def _found(group: Any, words: list[str], incomplete: str) -> Iterator[tuple[str, str]]:
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is None:
        yield from _offered(group, group.make_context(COMMANDS[0], [], resilient_parsing=True), incomplete)
        return
    command, given, before = group.commands[verb], words[words.index(verb) + 1 :], ""
    option, equals, value = incomplete.partition("=")
    if equals and option.startswith("--"):
        given, before, incomplete = [*given, option], f"{option}=", value
    waiting = [one for one in command.params if given and given[-1] in one.opts and _takes_value(one)]
    # An option that waits for its value could not be parsed.
    ctx = command.make_context(verb, given[: len(given) - len(waiting)], resilient_parsing=True)
    if not waiting and incomplete.startswith("-"):
        yield from _offered(command, ctx, incomplete)
    for one in waiting or [one for one in command.params if _is_open(ctx, one)][:1]:
        names = BY_NAME[one.name](ctx, incomplete) if one.name in BY_NAME else ()
        yield from ((before + name, "") for name in names if name.startswith(incomplete))


def _offered(command: Any, ctx: Any, incomplete: str) -> Iterator[tuple[str, str]]:
    """Options, and verbs, with their lines of help."""
    for item in command.shell_complete(ctx, incomplete):
        yield item.value, " ".join((item.help or "").split())


def _takes_value(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and not parameter.is_flag and not parameter.count


def _is_open(ctx: Any, parameter: Any) -> bool:
    """Whether it is an argument, and what is typed now may be its."""
    source = ctx.get_parameter_source(parameter.name)
    open_to_more = parameter.nargs == -1 or source is None or source.name != "COMMANDLINE"
    return parameter.param_type_name == "argument" and open_to_more
