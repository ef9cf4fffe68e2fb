"""What `--help` says: whole sentences on a terminal of 80 columns, and names instead of Python's types."""

import re

import pytest
from command_line import call

from bench.cli.main import app

VERBS = [command.name for command in app.registered_commands if not command.hidden]


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], []])
def test_a_line_for_every_verb(capsys, words):
    code, said, errors = call(capsys, *words)
    assert (code, errors) == (0, [])
    listed = re.findall(r"^  ([a-z-]+) +(\S.*)$", said.partition("Commands:\n")[2], re.MULTILINE)
    assert [verb for verb, _ in listed] == VERBS
    assert all(line[0].isupper() and line.endswith(".") and not line.endswith("...") for _, line in listed)


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_named_and_explained(capsys, verb):
    code, said, errors = call(capsys, verb, "-h")
    assert (code, errors) == (0, [])
    assert call(capsys, "help", verb)[1] == call(capsys, verb, "--help")[1] == said
    options = said.partition("Options:\n")[2]
    assert options and not re.search(r"--[a-z-]+ <", options)
    for option in re.split(r"\n  (?=-)", options):
        assert re.search(r"[a-z]{2}.*\.|\[", option.partition("  ")[2]), option  # a sentence
    assert max(map(len, said.splitlines())) <= 80


def test_help_on_what_there_is_not_is_one_line(capsys):
    code, said, (error,) = call(capsys, "help", "leadrboard")
    assert (code, said) == (2, "") and "did you mean 'leaderboard'" in error.lower()
