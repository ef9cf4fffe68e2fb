"""`bench compare` and `bench verify` as a user meets them."""

import json
from pathlib import Path

import pytest
from command_line import RUN_TINY, bench, call
from record_factory import make_record
from tiny import PLUGIN, TINY

from bench.verify import find_record
from leaderboard.reading.collection import collect
from leaderboard.records.schema import MEASUREMENTS
from leaderboard.records.store import write_record

ERRORS = {"a": [20, 21, 19, 22, 20, 21], "b": [21, 22, 19, 21, 22, 20], "c": [90, 91, 88, 92, 90, 90], "d": [60]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for model, row in ERRORS.items():
        for realization, wrong in enumerate(row):
            write_record(root, make_record(model, realization=realization, wrong=wrong))
    write_record(root, make_record("a", "mnist-scale-56", protocol="quick", smoke=True))
    return root


def test_two_models_on_six_realizations(folder, capsys):
    code, said, _ = call(capsys, "compare", "a", "c", "--records", folder)
    assert code == 0
    assert "mnist-scale-28, protocol paper" in said
    assert "a - c: −6.97 percentage points" in said
    assert "n = 6 shared realizations" in said
    assert "verdict: significantly different: a is better" in said
    assert "0.031 by signs" in said or "0.031 by sign flips alone (never below 0.031)" in said
    _, turned, _ = call(capsys, "compare", "c", "a", "--records", folder)
    assert "c - a: +6.97" in turned
    assert "significantly different: a is better" in turned
    _, close, _ = call(capsys, "compare", "a", "b", "--records", folder)
    assert "not significantly different on these data, which does not make them equal" in close
    assert "80 % power takes" in close


def test_one_shared_realization_has_no_p(folder, capsys):
    code, said, _ = call(capsys, "compare", "a", "d", "--records", folder, "--task", "mnist-scale-28")
    assert code == 0
    assert "n = 1 shared realization" in said
    assert "no p and no verdict" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("a", "x"), "no records of model 'x'"),
        (("a", "a"), "give two different models"),
        (("a", "b", "--task", "mnist-scale-2"), "did you mean 'mnist-scale-28'"),
        (("a", "b", "--task", "mnist-scale-56"), "have no results to compare under task mnist-scale-56"),
    ],
)
def test_compare_answers_bad_input_in_one_line(folder, capsys, words, expected):
    code, _, errors = call(capsys, "compare", *words, "--records", folder)
    assert (code, len(errors)) == (2, 1)
    assert expected in errors[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with one finished run; the path of its record."""
    place = tmp_path_factory.mktemp("done")
    (place / "tiny.yaml").write_text(TINY)
    (place / "my_net.py").write_text(PLUGIN)
    ran = bench(place, *RUN_TINY, "--model", "tiny-net", "--task", "mnist-scale-28")
    assert ran.returncode == 0, ran.stderr
    (path,) = (place / "results").rglob("*.json")
    return path


def verify(path, records, *more):
    return bench(path.parents[4], "verify", path.stem, "--records", records, "--plugin", "my_net.py", *more)


def edited(path, records, **parts):
    """The record with some fields of its parts changed, in another folder."""
    record = json.loads(path.read_text())
    for name, values in parts.items():
        record[name].update(values)
    copy = records / path.relative_to(path.parents[3])
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps(record))
    return records


def test_a_run_verifies_to_the_bit(done):
    again = verify(done, "results")
    assert again.returncode == 0, again.stderr
    assert "agrees bitwise" in again.stdout


def test_a_record_that_was_edited_does_not_verify(done, tmp_path):
    metrics = json.loads(done.read_text())["metrics"]
    fewer = metrics["wrong_answers"][1:]
    better = {"wrong_answers": fewer, "test_error": 100 * len(fewer) / metrics["test_count"], "error_by_scale": []}
    found = verify(done, edited(done, tmp_path / "r", metrics=better, software={"git_commit": "0123456789abcdef"}))
    assert found.returncode == 1, found.stdout + found.stderr
    assert "same hardware, threads and versions, yet not bitwise equal: wrong_answers" in found.stdout
    assert "check out 0123456789ab and verify there" in found.stdout


@pytest.mark.slow
def test_elsewhere_a_difference_within_chance_agrees(done, tmp_path):
    metrics = json.loads(done.read_text())["metrics"]
    curve = [value * (1 + 1e-9) for value in metrics["train_loss_curve"]]
    records = edited(done, tmp_path / "r", metrics={"train_loss_curve": curve}, hardware={"name": "Another CPU"})
    found = verify(done, records)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "another name (Another CPU then," in found.stdout
    assert "agrees within the interval" in found.stdout


def test_a_repeat_is_kept_for_the_board(done, tmp_path):
    records = edited(done, tmp_path / "r", hardware={"name": "Another CPU"})
    found = verify(done, records, "--keep", records, "--by", "Ada L.")
    assert found.returncode == 0, found.stdout + found.stderr
    kept = found.stdout.splitlines()[-1].removeprefix("kept: ")
    collection = collect(records)
    (repeat,) = collection.repeats[done.stem]
    assert (repeat.by, repeat.verdict, repeat.different_answers, repeat.tolerance) == ("Ada L.", "bitwise", 0, None)
    assert (repeat.name, repeat.record_hardware.name) == (Path(kept).stem, "Another CPU") and repeat.judged[-1] in found.stdout


@pytest.mark.parametrize(
    "words", [["--by", "Ada"], ["--keep", "kept"], ["--keep", "kept", "--by", "A\nda"], ["--keep", "/proc/x", "--by", "A"]]
)
def test_a_repeat_that_could_not_be_kept_is_not_begun(done, capsys, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, said, errors = call(capsys, "verify", done.stem, "--records", done.parents[4] / "results", *words)
    assert (code, said, len(errors)) == (2, "", 1) and ("--keep" in errors[0] or "--by" in errors[0])


def test_a_measurement_named_after_its_run_is_not_taken_for_its_record(tmp_path):
    record = make_record(protocol="a-protocol")  # a folder before those of measurements
    write_record(tmp_path, record)
    for kind in MEASUREMENTS:
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{record.run_id}.json").write_text("{}")
    assert find_record([tmp_path], record.run_id) == record


def test_verify_answers_bad_input_in_one_line(done, tmp_path):
    unknown = bench(done.parents[4], "verify", done.stem[:-1], "--records", "results")
    assert (unknown.returncode, len(unknown.stderr.strip().splitlines())) == (2, 1)
    assert "did you mean" in unknown.stderr
    other_data = verify(done, edited(done, tmp_path / "r", data={"fingerprint": "0" * 64}))
    assert (other_data.returncode, len(other_data.stderr.strip().splitlines())) == (2, 1)
    assert "cannot be repeated: its data have the fingerprint 000000000000" in other_data.stderr
