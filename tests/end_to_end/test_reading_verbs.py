"""`bench leaderboard`, `compare` and `timings` on whatever lies among the records, and with outputs that cannot be."""

import json
import os
import shutil
from functools import partial

import command_line
import pytest
from command_line import ROOT
from measurement_factory import make_scale_sweep
from record_factory import make_record

from bench.errors import BenchError
from bench.results import weights_path
from bench.verify import find_record
from leaderboard.records.measurement import write_measurement
from leaderboard.records.store import write_record


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return partial(command_line.call, capsys)


@pytest.fixture
def root(tmp_path):
    for realization in range(3):
        write_record(tmp_path / "records", make_record("a", realization=realization, wrong=20 + realization))
        write_record(tmp_path / "laptop", make_record("b", realization=realization, wrong=30 + 2 * realization))
    return tmp_path / "records"


def test_the_board_is_built_from_what_can_be_read_and_says_what_cannot(call, root):
    damaged = write_record(root, make_record("c"))
    damaged.write_text(damaged.read_text()[:300])
    (root / "package.json").write_text('{"name": "web"}')
    before = sorted(root.rglob("*"))
    for extra in ([], ["--check"]):
        code, _, errors = call("leaderboard", *extra)
        assert code == 1
        assert f"{damaged.relative_to(root.parent)} is left out: truncated" in errors[0] and "repeat its run" in errors[0]
        assert errors[1] == "bench: 1 JSON file is not ours and left alone, e.g. package.json"
        assert len(errors) == 2 and sorted(root.rglob("*")) == before
    damaged.unlink()
    assert call("leaderboard")[0] == call("leaderboard", "--check")[0] == 0


def test_several_folders_of_records_are_one(call, root):
    both = ("--records", "records", "--records", "laptop")
    code, said, errors = call("compare", "a", "b", *both)
    assert (code, errors) == (0, []) and "n = 3 shared realizations" in said
    assert call("leaderboard", *both, "--output", "B.md")[0] == 0
    board = (root.parent / "B.md").read_text()
    assert "| `a` |" in board and "| `b` |" in board
    timings = ROOT / "records" / "timings"
    code, said, _ = call("timings", "--records", timings / "mnist-scale-28", "--records", timings / "stl10+")
    assert code == 0 and "mnist-scale-28" in said and "stl10+" in said
    assert find_record([root, root.parent / "laptop"], make_record("b").run_id).model == "b"
    with pytest.raises(BenchError, match=r"records, .*laptop"):
        find_record([root, root.parent / "laptop"], "nothing")


@pytest.mark.parametrize("verb", ["scale-sweep", "equivariance"])
def test_a_run_and_its_weights_are_found_in_any_of_several_folders(call, root, monkeypatch, verb):
    run_id, asked = make_record("cnn").run_id, {}
    write_record(root, make_record("cnn"))
    weights_path(root.parent / "laptop", run_id).parent.mkdir()
    weights_path(root.parent / "laptop", run_id).touch()

    def measure(*_, **given):
        asked.update(given)
        raise BenchError("enough")

    monkeypatch.setattr("bench.measure.isolated.isolated", measure)
    words = ["--run", run_id] if verb == "equivariance" else [run_id, "--device", "cpu"]
    code, _, errors = call(verb, *words, "--results", "records", "--results", "laptop", "--records", "new")
    assert (code, errors, str(asked["results"])) == (1, ["bench: enough"], "laptop")
    assert call(verb, *words, "--results", "records")[0] == 1 and str(asked["results"]) == "records"


def test_copies_that_differ_are_named_by_every_verb_that_takes_means(call, root):
    write_record(root / "copied", make_record("a", wrong=90))
    for verb in (["leaderboard"], ["compare", "a", "b", "--records", "records", "--records", "laptop"]):
        code, said, (error,) = call(*verb)
        assert "2.000 %" in error and "9.000 %" in error and "copied/" in error
        assert code == 1 if verb == ["leaderboard"] else "n = 2 shared realizations" in said


def test_a_record_is_found_by_its_content_and_never_a_measurement(root):
    record = make_record("a")
    for place in (root, root / "z" / "copied"):
        write_measurement(place, make_scale_sweep("a", name=record.run_id, run_id=record.run_id))
    moved = root / "z" / "saved by hand.json"
    (root / "paper" / "mnist-scale-28" / "a" / f"{record.run_id}.json").rename(moved)
    assert find_record([root], record.run_id).run_id == record.run_id
    moved.write_text(json.dumps(json.loads(moved.read_text()) | {"run_id": "other"}))
    with pytest.raises(BenchError, match="no record of a run"):
        find_record([root], record.run_id)


OUTPUTS = ["", " ", ".", "..", "/", "a-folder", "a-file/x", "x" * 300, "a\0b"]


@pytest.mark.parametrize("given", OUTPUTS)
@pytest.mark.parametrize(
    "option", ["leaderboard --output", "leaderboard --readme", "leaderboard --folder", "timings --output", "timings --plot"]
)
def test_an_output_that_cannot_be_is_one_line_before_any_work(call, root, option, given):
    (root.parent / "a-folder").mkdir()
    (root.parent / "a-file").write_text("")
    before = sorted(root.parent.rglob("*"))
    verb, name = option.split()
    if name == "--folder" and given in (".", "..", "/", "a-folder"):
        return  # folders
    records = ["--records", ROOT / "records"] if verb == "timings" else []
    code, said, errors = call(verb, *records, name, given)
    assert (code, said, len(errors)) == (2, "", 1) and errors[0].startswith("bench: ")
    assert sorted(root.parent.rglob("*")) == before


@pytest.mark.parametrize("words", [["--records", ""], ["--records="], ["--output", "  "], [""]])
def test_an_empty_word_is_refused_by_any_verb(call, root, words):
    for verb in ("leaderboard", "timings", "run", "time"):
        code, said, errors = call(verb, *words)
        assert (code, said, len(errors)) == (2, "", 1) and "empty" in errors[0]


def test_links_given_as_outputs_stay(call, root):
    site = root.parent / "site"
    site.mkdir()
    (site / "README.md").write_text("<!-- board -->\n<!-- /board -->\n")
    for name in ("board.md", "README.md", "page"):
        (root.parent / name).symlink_to(f"site/{name}")
    words = ["--output", "board.md", "--readme", "README.md", "--folder", "page"]
    assert call("leaderboard", *words)[0] == call("leaderboard", *words, "--check")[0] == 0
    assert all((root.parent / name).is_symlink() for name in ("board.md", "README.md", "page"))
    assert "# Leaderboard" in (site / "board.md").read_text() and "`a`" in (site / "README.md").read_text()
    assert (site / "page" / "leaderboard.html").exists()
    shutil.rmtree(site)
    code, said, errors = call("leaderboard", "--output", os.devnull)
    assert (code, said, errors) == (0, "", [f"wrote {os.devnull}"])
