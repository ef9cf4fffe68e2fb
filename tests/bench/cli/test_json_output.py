"""`--json`: one document, whole and plain, whatever is in it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.cli.json_output import plain, print_json
from bench.settings import Settings


@dataclass
class Pair:
    left: float
    right: tuple[int, ...]


class Setting(Settings):
    name: str


def test_a_document_is_read_back_as_it_was_given(capsys):
    document = {"second": 1 / 3, "first": [None, True, 7, "é"], "empty": {}}
    print_json(document)
    said = capsys.readouterr()
    assert json.loads(said.out) == document
    assert list(json.loads(said.out)) == list(document)  # in the order given
    assert said.out.isascii() and said.out.endswith("}\n") and not said.err


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (float("nan"), None),
        ({"a": [float("inf"), -0.5]}, {"a": [None, -0.5]}),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (Path("a") / "b", "a/b"),
        ({3, 1, 2}, [1, 2, 3]),
        (Pair(0.25, (1, 2)), {"left": 0.25, "right": [1, 2]}),
        (Setting(name="x"), {"name": "x"}),
        ({7: "number"}, {"7": "number"}),
        ("a\udc80b", "a\\udc80b"),  # a file name that is no UTF-8
    ],
)
def test_whatever_a_verb_has_becomes_plain(given, wanted):
    found = plain(given)
    assert json.dumps(found) == json.dumps(wanted)


def test_signs_that_move_a_cursor_are_escaped(capsys):
    print_json({"name": "\x1b[2Jcnn\u202e\n"})
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\u202e" not in said
    assert json.loads(said) == {"name": "\x1b[2Jcnn\u202e\n"}


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="object has no form in JSON"):
        print_json({"what": object()})
