"""The papers behind the board, and their BibTeX. papers.yaml: which model is of which paper, and which builds on which."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from leaderboard.errors import RecordError, one_line

Words = Annotated[str, Field(pattern=r"^\S(.*\S)?$")]

_VENUE = {"inproceedings": "booktitle", "article": "journal", "misc": "howpublished"}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030c": "v ", "\u0327": "c "}
_LETTERS = {"ł": r"{\l}", "Ł": r"{\L}", "ø": r"{\o}", "ß": r"{\ss}"} | {c: f"\\{c}" for c in "&%#_$"}


class Paper(BaseModel):
    """A paper: what a reference list says of it, and which models are its own or build on it.

    ``year`` is None, and ``url`` empty, where neither is known. ``key`` is that of the BibTeX entry, unique.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    type: Literal["inproceedings", "article", "misc"]
    title: Words
    authors: Annotated[tuple[Words, ...], Field(strict=False, min_length=1)]
    year: int | None = Field(default=None, gt=1950, lt=2100)
    venue: Words | None = None
    volume: Words | None = None
    pages: Words | None = None
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    url: str = Field(default="", pattern=r"^(https://\S+)?$")
    note: Words | None = None
    models: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    used_by: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    sources: Annotated[tuple[Words, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _url_of_arxiv(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("arxiv") and not given.get("url"):
            return given | {"url": f"https://arxiv.org/abs/{given['arxiv']}"}
        return given

    @property
    def label(self) -> str:
        """As a sentence cites it: 'Sosnovik et al. 2020'."""
        names = [author.split()[-1] for author in self.authors]
        who = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
        return f"{who} {self.year or ''}".strip()

    @property
    def bibtex(self) -> str:
        """One BibTeX entry in plain ASCII, as LaTeX of any year reads it; a note stands above it as a comment."""
        fields = {
            "title": f"{{{_latex(self.title)}}}",  # a second pair of braces keeps the capitals
            "author": _latex(" and ".join(self.authors)),
            _VENUE[self.type]: _latex(self.venue or ""),
            "volume": self.volume,
            "pages": self.pages,
            "year": self.year,
            "eprint": self.arxiv,
            "archiveprefix": self.arxiv and "arXiv",
            "url": self.url,
        }
        return entry(self.type, self.key, fields, self.note)


def entry(kind: str, key: str, fields: Mapping[str, object], note: str | None = None) -> str:
    """A BibTeX entry of the fields that have a value, as they are; a line ends it."""
    lines = [f"  {name:<13} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([*([f"% {note}"] if note else []), f"@{kind}{{{key},", *lines, "}"]) + "\n"


def _latex(text: str) -> str:
    """Letters with accents, and signs that mean something to LaTeX, as it writes them."""
    characters = ""
    for character in text:
        decomposed = unicodedata.normalize("NFD", character)
        accents = [_ACCENTS[mark] for mark in decomposed[1:] if mark in _ACCENTS]
        characters += f"{{\\{accents[0]}{decomposed[0]}}}" if accents else _LETTERS.get(character, character)
    return characters


def parse_papers(text: str) -> tuple[Paper, ...]:
    """The entries of a file like papers.yaml. Raises RecordError, in one line: the entry and what is wrong with it."""
    try:
        content = yaml.safe_load(text)
        found = tuple(TypeAdapter(list[Paper]).validate_python(content))
    except yaml.YAMLError as error:
        raise RecordError(f"papers: not valid YAML: {one_line(error)}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        raise RecordError(one_line(f"papers, entry (counted from 0) and field {where or '-'}: {first['msg']}")) from None
    keys = [paper.key for paper in found]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise RecordError(f"papers: the key {twice[0]} stands twice; give each entry its own")
    return found


@cache
def papers() -> Mapping[str, Paper]:
    """Every paper by its BibTeX key, in the file's order."""
    found = parse_papers(Path(__file__).with_name("papers.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({paper.key: paper for paper in found})


def paper_of(model: str, task: str | None = None) -> Paper | None:
    """The paper that a model is of, options in its name considered; None for a stranger's model.

    Without a ``task``, the first of those it has on any: of the plain ``cnn``, SESN's paper and not that of the wide ResNet.
    """
    return next((paper for paper in papers().values() if is_of(model, task, paper)), None)


def papers_of(model: str, task: str | None = None) -> list[Paper]:
    """All papers to be cited for a model, those that it is of first, then those that it builds on."""
    own = [paper for paper in papers().values() if is_of(model, task, paper)]
    return own + [paper for paper in papers().values() if fits(model, task, paper.used_by) and paper not in own]


def is_of(model: str, task: str | None, paper: Paper) -> bool:
    """Whether a model is of this paper; those of `papers_of` that it is not of are what it builds on."""
    return fits(model, task, paper.models)


def known_models() -> list[str]:
    """The models that have a paper here, by name: those of the suite."""
    return sorted({pattern.partition(" ")[0].partition("@")[0] for paper in papers().values() for pattern in paper.models})


def named_in(text: str) -> list[Paper]:
    """The papers that a source, or a method, of a published number names, in the file's order."""
    return [paper for paper in papers().values() if any(words in text for words in paper.sources)]


def fits(model: str, task: str | None, patterns: Sequence[str]) -> bool:
    """Whether a model is one of ``name@option=value,... tasks``: that name, at least those options, and on such a task."""
    name, options = _parts(model)
    for pattern in patterns:
        wanted, _, tasks = pattern.partition(" ")
        its_name, its_options = _parts(wanted)
        if name == its_name and options >= its_options and (task is None or fnmatchcase(task, tasks or "*")):
            return True
    return False


def _parts(model: str) -> tuple[str, set[str]]:
    name, _, options = model.partition("@")
    return name, set(filter(None, options.split(",")))
