"""From `bench new` to a checked model, as a user types it."""

import json
from pathlib import Path

import pytest
from command_line import call
from faulty import FAULTY
from tiny import TINY

from leaderboard.records.store import read_record

TASK = "mnist-scale-28"


@pytest.fixture(autouse=True)
def _elsewhere(no_plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_what_new_writes_passes_check(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))  # no data, so generated images
    code, out, errors = call(capsys, "new", "our-net")
    assert (code, errors) == (0, []) and out.splitlines()[-1] == "next: bench check our_net.py"
    code, out, errors = call(capsys, "check", "our_net.py", "--task", f"{TASK}*", "--json")
    document = json.loads(out)
    found = {(one["task"], one["check"]): one["finding"] for one in document["findings"]}
    looks = {key for key, finding in found.items() if finding["verdict"] != "pass"}
    assert looks <= {(TASK, "time")}  # which other work may disturb
    assert code == 0 and document["counts"]["fail"] == 0
    assert found[TASK, "parameters"]["numbers"]["parameters"] == 494_549
    assert {row["name"] for row in found[TASK, "equivariance"]["numbers"]["own"]} >= {"layer 1", "layer 2", "layer 3", "logits"}
    assert found[TASK, "equivariance"]["more"][0].startswith("On generated images")
    assert found[f"{TASK}+", "network"]["text"].startswith(f"to the bit the network of {TASK}")
    code, _, errors = call(capsys, "new", "our-net")
    assert code == 2 and "never overwritten" in errors[0]


def test_a_sound_network_without_layers(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    Path("faulty_nets.py").write_text(FAULTY)
    code, out, errors = call(capsys, "check", "sound-net", "--plugin", "faulty_nets.py", "--task", TASK, "--json")
    document = json.loads(out)
    verdicts = {one["check"]: one["finding"]["verdict"] for one in document["findings"]}
    assert (code, errors) == (0, []) and document["counts"]["look"] == 2
    assert {check for check, verdict in verdicts.items() if verdict == "look"} == {"parameters", "equivariance"}
    more = document["findings"][-1]["finding"]["more"]
    assert [line.split()[0] for line in more[2:5]] == ["sound-net", "cnn", "sesn-vector"]
    assert "no layer is seen: no module that holds weights gives maps (N, C, H, W)" in more


def test_a_network_of_a_wrong_width_ends_at_once(capsys):
    Path("faulty_nets.py").write_text(FAULTY)
    code, out, errors = call(capsys, "check", "width-net", "--plugin", "faulty_nets.py", "--task", TASK)
    assert (code, errors) == (1, [])
    assert out.splitlines()[0] == f"width-net on {TASK}"
    assert "  fail  outputs      ModelError: the network gives a tensor of shape (8, 12)" in out
    assert "-> images are (N, 1, 28, 28)" in out and "1 pass, 0 to look at, 1 fail" in out and "gradients" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("new", "sesn-vector"), "is a model already"),
        (("new", "our-net", "--task", "cifar"), "unknown task 'cifar'"),
        (("new", "our-net", "--output", "our_net.txt"), "is no Python file"),
        (("check", "our_net.py"), "plugin 'our_net.py' is not a Python file"),
        (("check", "wide-net"), "faulty_nets.py here registers it: add --plugin faulty_nets.py"),
        (("run", "--model", "sound-net"), "'sound-net' is not registered; faulty_nets.py here registers it: add --plugin"),
        (("run", "--model", "nan-net"), "unknown model 'nan-net'"),  # its file does not name it
    ],
)
def test_bad_input_is_one_line(capsys, words, said):
    Path("faulty_nets.py").write_text(FAULTY + '\nmodels.register("wide-net", tasks="stl10+")(print)\n')
    code, out, errors = call(capsys, *words)
    assert (code, out, len(errors)) == (2, "", 1) and said in errors[0], errors
    assert not Path("our_net.py").exists()


def test_a_failed_runs_record_holds_the_models_own_lines(capsys):
    """Those of a helper that lies beside it, too."""
    Path("helper.py").write_text("def wrong(x):\n    return x.view(-1, 3)\n")
    Path("own_net.py").write_text(
        "import helper\nimport models\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.layer = nn.Linear(784, 10)\n\n    def forward(self, x):\n"
        "        return helper.wrong(self.layer(x.flatten(1)))\n\n\n"
        'models.register("own-net", tasks="mnist-scale-28")(lambda task: Net())\n'
    )
    Path("tiny.yaml").write_text(TINY)
    words = ("--model", "own-net", "--task", TASK, "--plugin", "own_net.py", "--protocol", "tiny.yaml", "--device", "cpu")
    code, _, errors = call(capsys, "run", *words)
    assert code == 1, errors
    (path,) = Path("results/tiny").rglob("*.json")
    tail = "\n".join(read_record(path).failure.traceback_tail)
    assert "helper.wrong(self.layer(x.flatten(1)))" in tail and "return x.view(-1, 3)" in tail
