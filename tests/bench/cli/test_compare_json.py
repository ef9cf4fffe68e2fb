"""`bench compare --json` holds what the lines say, unrounded."""

import json
import math

import pytest
from command_line import call
from record_factory import make_record

from bench.cli.pair_report import KEYS
from leaderboard.records.store import write_record

ERRORS = {"a": [20, 21, 19, 22, 20, 21], "b": [21, 22, 19, 21, 22, 20], "c": [90, 91, 88, 92, 90, 90], "d": [60]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for model, row in ERRORS.items():
        for realization, wrong in enumerate(row):
            write_record(root, make_record(model, realization=realization, wrong=wrong))
    write_record(root, make_record("e", realization=5, wrong=60))
    return root


def compared(capsys, folder, *names):
    code, said, errors = call(capsys, "compare", *names, "--records", folder, "--json")
    assert (code, errors) == (0, [])
    document = json.loads(said)
    assert (document["a"], document["b"]) == names
    (table,) = document["tables"]
    assert tuple(table) == KEYS
    return table


def test_a_pair_over_six_realizations(capsys, folder):
    table = compared(capsys, folder, "a", "c")
    errors = [[wrong / 10 for wrong in ERRORS[model]] for model in "ac"]
    assert table["errors"]["a"]["n"] == 6 and math.isclose(table["errors"]["a"]["mean"], sum(errors[0]) / 6)
    assert math.isclose(table["difference"], (sum(errors[0]) - sum(errors[1])) / 6)
    assert table["interval"][0] < table["difference"] < table["interval"][1] < 0
    assert (table["task"], table["protocol"], table["realizations"]) == ("mnist-scale-28", "paper", list(range(6)))
    assert table["interval_over"] == "realizations" and table["significant"] is True and table["better"] == "a"
    assert table["p"]["sign_flip"] == 2 / 2**6 and 0 < table["p"]["moderated_t"] < table["p"]["holm"] < 0.05
    assert table["pairs"] == 3 and table["realizations_needed"]["alone"] >= 2


def test_turned_round_only_the_sign_changes(capsys, folder):
    table, turned = compared(capsys, folder, "a", "c"), compared(capsys, folder, "c", "a")
    assert turned["difference"] == -table["difference"]
    assert turned["interval"] == [-bound for bound in reversed(table["interval"])]
    assert all(turned[key] == table[key] for key in ("p", "better", "significant", "realizations_needed", "digest"))


def test_what_one_shared_realization_cannot_tell_is_null(capsys, folder):
    table = compared(capsys, folder, "a", "d")
    assert math.isclose(table["difference"], 2.0 - 6.0) and table["interval_over"] == "images"
    assert table["errors"]["d"] == {"mean": 6.0, "std": None, "n": 1} and table["realizations"] == [0]
    assert {table[key] for key in ("p", "pairs", "significant", "better", "realizations_needed")} == {None}


def test_nothing_is_compared_where_nothing_is_shared(capsys, folder):
    table = compared(capsys, folder, "d", "e")
    assert table["realizations"] == [] and table["difference"] is table["interval"] is table["interval_over"] is None


def test_the_lines_are_of_the_same_numbers(capsys, folder):
    table = compared(capsys, folder, "a", "c")
    said = call(capsys, "compare", "a", "c", "--records", folder)[1]
    assert f"a - c: −{-table['difference']:.2f} percentage points" in said
    assert "p < 0.001 (moderated t)" in said and f"n = {table['errors']['a']['n']}" in said
