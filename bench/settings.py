"""Settings as a person writes them: strict YAML, and values that are what they say.

In YAML: numbers in plain digits, `true` and `false`, `null`, and every key once. As values: a number is a number (not text, not
`true`), finite, and not beyond what it can mean.

PyYAML follows YAML 1.1, where `1e-3` is text, `010` is eight, `12:30` is 750, `no` is false, and the last of two equal keys
counts without a word. Here whatever is not plainly a number, a truth value or nothing is text, much as in YAML 1.2
(yaml.org/spec/1.2.2, section 10.3), and a field that wants a number refuses text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bench.errors import BenchError
from leaderboard.errors import one_line, reason

WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
POINT = r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
POWER = rf"{WHOLE}[eE][-+]?[0-9]+"
PLAIN = {  # what text without quotes stands for
    "int": WHOLE,
    "float": rf"{POINT}|{POWER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "bool": "true|True|TRUE|false|False|FALSE",
    "null": "~|null|Null|NULL|",
    "merge": "<<",
}


def read_yaml(path: Path) -> Any:
    """What a YAML file of one document holds, in UTF-8, or in UTF-16 with a byte order mark.

    Raises BenchError: the file cannot be read, is not YAML, or a key stands twice. One line, without the file's name.
    """
    try:
        return yaml.load(path.read_bytes(), _Loader)
    except OSError as error:
        raise BenchError(reason(error)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        said = " ".join(filter(None, (error.context, error.problem)))
        raise BenchError(f"not valid YAML{where}: {one_line(said)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BenchError(f"not valid YAML: {one_line(error)}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping; those that `<<` brings in may be set anew."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As PyYAML reads a mapping, keys compared. Raises MarkedYAMLError."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            before = seen.setdefault((key.tag, key.value), key.start_mark)
            if before is not key.start_mark:
                said = f"`{one_line(key.value, 60)}` stands there already in line {before.line + 1}; leave out one of the two"
                raise yaml.MarkedYAMLError(problem=said, problem_mark=key.start_mark)
        return node

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A number of a tag's own way of writing one. Raises MarkedYAMLError: `!!int 010`, or a number without end."""
        kind: type[int] | type[float] = int if node.tag.endswith(":int") else float
        try:
            if re.fullmatch(PLAIN[kind.__name__], node.value):
                return kind(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:  # Python reads no whole number of more than 4300 digits
            pass
        said = f"{one_line(node.value, 40)} is no number that can be read"
        raise yaml.MarkedYAMLError(problem=said, problem_mark=node.start_mark)


for _kind, _pattern in PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), None)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)


LARGEST = 2**31 - 1  # of what is counted: more is a slip of the hand
TINIEST = 1e-37  # the smallest normal number of float32, almost


def _number(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= LARGEST:  # nor is NaN
        raise ValueError("a finite number is needed, in plain digits")
    return given


def _in_float32(number: float) -> float:
    if number < TINIEST:
        raise ValueError(f"below {TINIEST} there is nothing but 0 in float32, in which networks compute")
    return number


Whole = Annotated[int, Field(strict=True, le=LARGEST)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(lambda number: number + 0.0)]  # -0.0 is 0.0
Positive = Annotated[Real, Field(gt=0), AfterValidator(_in_float32)]
Number = Annotated[int | float, BeforeValidator(_number)]
Flag = Annotated[bool, Field(strict=True)]
Share = Annotated[Real, Field(ge=0, lt=1)]  # of a running mean that is kept
Factor = Annotated[Real, Field(ge=0.01, le=100)]  # of an image's size


class Settings(BaseModel):
    """Base of everything a protocol file may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
