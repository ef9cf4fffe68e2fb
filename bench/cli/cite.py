"""`bench cite`: BibTeX of models' papers and of the suite. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from bench.cli.json_output import Json, print_json

if TYPE_CHECKING:
    from leaderboard.board.papers import Paper

CITATION = "CITATION.cff"  # beside the four packages, in a checkout as in an installation


def cite(
    model: Annotated[
        list[str] | None, Argument(help="Model names or globs, options included. Without any: the suite alone.")
    ] = None,
    task: Annotated[
        str | None, Option(help="A task or glob, where a model's networks are of several papers. Default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Print BibTeX: the papers of models, those that they build on, and the suite itself."""
    from bench.plan import match_tasks

    tasks = [None] if task is None else match_tasks([task])
    cited = {name: _papers(name, tasks) for name in _models(model or [])}
    suite = _suite()
    if json:
        print_json({"suite": suite, "models": {name: [_described(*one) for one in its.items()] for name, its in cited.items()}})
        return
    for name, its in cited.items():
        print(f"% {name}: {', '.join(paper.key for paper in its)}")
    for paper in dict.fromkeys(paper for its in cited.values() for paper in its):
        print(f"\n{paper.bibtex}", end="")
    print(("\n" if cited else "") + suite["bibtex"], end="")


def _models(asked: Sequence[str]) -> list[str]:
    """The models that are meant. Raises BenchError: a name that no paper is known for, or an option that it does not have."""
    from bench.errors import BenchError
    from leaderboard.board.papers import known_models
    from models.errors import suggestion

    found: list[str] = []
    for word in asked:
        name, at, options = word.partition("@")
        matched = [known for known in known_models() if fnmatchcase(known, name)]
        if not matched:
            raise BenchError(
                f"no paper is known for {word!r}{suggestion(name, known_models())}; models: {', '.join(known_models())}"
            )
        for known in matched:
            _check_options(known, options)
            found.append(f"{known}{at}{options}")
    return list(dict.fromkeys(found))


def _check_options(model: str, options: str) -> None:
    """Raises BenchError: the model has no such option, or the option no such value; a paper could be left out for it."""
    from bench.errors import BenchError
    from models.errors import suggestion
    from models.registry.unimported import method_files, options_of

    known = [f"{option}={value}" for option, values in options_of(model, method_files()).items() for value in values]
    for option in filter(None, options.split(",")):
        if option not in known:
            raise BenchError(
                f"{model!r} has no option {option!r}{suggestion(option, known)}; it has: {', '.join(known) or 'none'}"
            )


def _papers(model: str, tasks: Sequence[str | None]) -> dict[Paper, bool]:
    """What to cite for a model, and whether it only builds on that. Raises BenchError: it has no network for the tasks."""
    from bench.errors import BenchError
    from leaderboard.board.papers import is_of, papers_of

    found = {paper: not any(is_of(model, one, paper) for one in tasks) for one in tasks for paper in papers_of(model, one)}
    if not found:
        raise BenchError(f"no paper is known for {model!r} on these tasks; leave --task out")
    return found


def _described(paper: Paper, builds_on: bool) -> dict[str, Any]:
    known = paper.model_dump(exclude={"type", "models", "used_by", "sources"})
    return known | {"builds_on": builds_on, "bibtex": paper.bibtex}


def _suite() -> dict[str, Any]:
    """The suite as CITATION.cff has it, with the commit that is at work. Raises BenchError: the file is not there."""
    import yaml

    from bench.errors import BenchError
    from bench.machine.source import ROOT, commit
    from leaderboard.board.papers import entry

    try:
        cff = yaml.safe_load((ROOT / CITATION).read_text(encoding="utf-8"))
    except OSError:
        raise BenchError(f"{ROOT / CITATION} is missing; install equiscale again, or take the whole checkout") from None
    found, changed = commit()
    code = f", commit {found}{' and changes to it' if changed else ''}" if found else ""
    fields = {
        "title": f"{{{cff['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in cff["authors"]),
        "note": f"Version {cff['version']}{code}",
        "url": cff["repository-code"],
    }
    return {
        "title": cff["title"],
        "authors": [author["name"] for author in cff["authors"]],
        "version": cff["version"],
        "commit": found,
        "url": cff["repository-code"],
        "bibtex": entry("misc", "equiscale", fields),
    }
