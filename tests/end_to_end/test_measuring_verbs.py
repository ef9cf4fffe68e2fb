"""`bench equivariance` and `bench scale-sweep` as typed, from a run to the board."""

import json

import pytest
from command_line import RUN_TINY, bench, call

PLUGIN = ("--plugin", "my_net.py")


def test_from_a_run_to_measurements_on_the_board(workplace):
    tiny = workplace / "tiny.yaml"
    tiny.write_text(tiny.read_text().replace("smoke: true", "smoke: false"))
    assert bench(workplace, *RUN_TINY, "--model", "tiny-net", "--task", "mnist-scale-28").returncode == 0
    (weights,) = (workplace / "results" / "weights").iterdir()
    run_id = weights.stem

    tested = bench(workplace, "scale-sweep", run_id, *PLUGIN, "--images", "40")
    assert tested.returncode == 0, tested.stderr
    (path,) = (workplace / "results" / "generalisation").rglob("*.json")
    measured = json.loads(path.read_text())
    assert (measured["run_id"], measured["own_sizes_count"], len(measured["factors"])) == (run_id, 40, 14)
    assert measured["command"] == f"bench scale-sweep {run_id} --plugin my_net.py --images 40"

    for what in (["--run", run_id], ["--model", "tiny-net", "--task", "mnist-scale-28"]):
        done = bench(workplace, "equivariance", *what, *PLUGIN, "--images", "20")
        assert done.returncode == 0, done.stderr
        again = bench(workplace, "equivariance", *what, *PLUGIN, "--images", "20")
        assert again.returncode == 0 and "measured already" in again.stdout
    states = {json.loads(path.read_text())["state"] for path in (workplace / "results" / "equivariance").rglob("*.json")}
    assert states == {"initialisation", "trained"}

    assert bench(workplace, "leaderboard", "--records", "results", "--output", "B.md").returncode == 0
    board = (workplace / "B.md").read_text()
    for said in ("Outside the training range", "Equivariance error at initialisation", "Equivariance error after training"):
        assert f"<summary>{said}" in board


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["equivariance"], "say what to measure"),
        (["equivariance", "--run", "x", "--model", "cnn"], "leave out --model"),
        (["equivariance", "--model", "ccnn", "--task", "mnist-scale-28"], "did you mean 'cnn'"),
        (["equivariance", "--run", "x", "--results", "nowhere"], "no folder of records"),
        (["scale-sweep"], "Missing argument"),
        (["scale-sweep", "x", "--results", "."], "no record of a run 'x'"),
        (["scale-sweep", "x", "--images", "0"], "--images"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, (error,) = call(capsys, *arguments)
    assert code == 2 and said in error
