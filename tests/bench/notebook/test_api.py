"""`bench.train`, `bench.load`, `bench.predict`: what `bench run` does, for a notebook."""

import linecache
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from tiny import TINY
from tiny_runs import CPU, metrics, one_run

import bench
import datasets
import models
from bench.errors import BenchError
from bench.results import put_weights, run_record_path, weights_path
from bench.scheduling.session import Outcome
from bench.training.run import execute
from bench.training.trainer import Watch
from bench.verify import rebuild
from leaderboard.errors import RecordError
from leaderboard.records.store import read_record, write_record
from models.registry.catalogue import registering

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """A folder without records."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tiny, plugin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "results"
    return bench.train("tiny-net", "mnist-scale-28+", protocol=tiny, results=folder, device="cpu", progress=False)


def test_it_is_the_run_of_the_command_line(trained, tiny, tmp_path):
    run = one_run(tiny)
    there = execute(run, CPU, tmp_path, Watch())
    assert trained.record.run_id == run.id and metrics(trained.record) == metrics(there)
    assert trained.record.weights_sha256 == there.weights_sha256
    assert read_record(trained.path) == trained.record
    assert (trained.results / "LEADERBOARD.md").exists() and not list((trained.results / ".checkpoints").glob("*"))


def test_its_numbers(trained):
    assert trained.test_error == trained.record.metrics.test_error
    assert (len(trained.curves["train_loss"]), len(trained.curves["validation_error"])) == (3, 3)
    assert trained.parameters == sum(parameter.numel() for parameter in trained.network.parameters())
    assert "tiny-net on mnist-scale-28+, realization 0" in repr(trained) and str(trained.path) in repr(trained)


def test_one_line_loads_what_was_tested(trained):
    images, labels = datasets.load("mnist-scale-28", realization=0, split="test")
    for network in (
        trained.network,
        bench.load(trained.record.run_id, results=trained.results, device="cpu"),
        bench.load(trained.path, device="cpu"),
    ):
        assert not network.training
        answers = bench.predict(network, images[:60])
        wrong = [(i, int(a)) for i, (a, label) in enumerate(zip(answers, labels, strict=False)) if a != label]
        assert wrong == trained.record.metrics.wrong_answers
        assert 100 * len(wrong) / 60 == pytest.approx(trained.test_error)


def test_a_run_that_is_done_is_read(trained, tiny, monkeypatch):
    monkeypatch.setattr("bench.notebook.one_run.do", lambda *_: pytest.fail("it is done already"))
    monkeypatch.setattr("bench.notebook.api.do", lambda *_: pytest.fail("it is done already"))
    again = bench.train("tiny-net", "mnist-scale-28+", protocol=tiny, results=trained.results)
    assert again.record == trained.record


def test_committed_records_count_unless_it_is_to_be_done_anew(trained, tiny, monkeypatch):
    record = trained.record.model_copy(
        update={"protocol": trained.record.protocol.model_copy(update={"smoke": False})}  # smoke tests never count
    )
    write_record(Path("records"), record)
    asked = []
    monkeypatch.setattr("bench.notebook.api.do", lambda *what: asked.append(what) or record)
    found = bench.train("tiny-net", "mnist-scale-28+", protocol=tiny, results="mine")
    assert not asked and found.path.parts[0] == "records"
    with pytest.raises(BenchError, match=r"weights are not in .*records/weights; to make them, do the run in a folder"):
        _ = found.network
    bench.train("tiny-net", "mnist-scale-28+", protocol=tiny, results="mine", anew=True)
    assert len(asked) == 1
    put_weights(Path("records"), record.run_id, weights_path(trained.results, record.run_id).read_bytes())
    assert isinstance(bench.train("tiny-net", "mnist-scale-28+", protocol=tiny, results="mine").network, torch.nn.Module)
    assert isinstance(bench.load(record.run_id), torch.nn.Module)


def test_another_training_of_the_same_run_is_never_taken_for_it(trained):
    """As after a training with another number of threads than the committed one."""
    answers = [(index, 9 - answer) for index, answer in trained.record.metrics.wrong_answers]
    for digest in (None, "0" * 64):
        metrics = trained.record.metrics.model_copy(update={"wrong_answers": answers})
        other = trained.record.model_copy(update={"metrics": metrics, "weights_sha256": digest})
        path = write_record(Path("records"), other)
        assert isinstance(bench.load(trained.record.run_id, results=trained.results), torch.nn.Module)  # that one's own
        with pytest.raises(BenchError, match="its weights are not in"):
            bench.load(path, results=trained.results)
        with pytest.raises(BenchError, match="its weights are not in"):
            _ = bench.Result(other, trained.results).network
        path.unlink()


def test_weights_of_others_are_read_as_safetensors_alone(trained):
    record = trained.record.model_copy(update={"weights_sha256": None})
    write_record(Path("records"), record)
    state = {"run_id": record.run_id, "weights": trained.network.state_dict()}
    Path("records/weights").mkdir()
    torch.save(state, f"records/weights/{record.run_id}.pt")
    with pytest.raises(BenchError, match="its weights are not in"):
        bench.load(record.run_id)
    assert isinstance(bench.load(record.run_id, results="records"), torch.nn.Module)  # one's own


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"model": "tiny-nat"}, models.ModelError, "did you mean 'tiny-net'"),
        ({"task": "mnist-scale-29"}, models.ModelError, "unknown task"),
        ({"realization": 6}, datasets.DataError, "allowed: 0 to 5"),
        ({"protocol": "papr"}, BenchError, "did you mean 'paper'"),
        ({"protocol": {"name": "x", "extends": "paper", "epochs": 1}}, BenchError, "unknown key `epochs`"),
        ({"protocol": {"name": "x", "extends": object()}}, BenchError, "use texts, numbers"),
        ({"device": "cuda:99"}, BenchError, "device 'cuda:99' is unavailable"),
        ({"results": "tiny.yaml"}, RecordError, "is no folder of records"),
    ],
)
def test_what_cannot_be_done_is_an_exception_of_one_line(plugin, asked, error, said):
    Path("tiny.yaml").write_text(TINY)
    with pytest.raises(error, match=said) as caught:
        bench.train(**{"model": "tiny-net", "protocol": "tiny.yaml", **asked})
    assert "\n" not in str(caught.value)


def test_a_run_that_fails_raises_and_its_record_tells(plugin, tiny, monkeypatch):
    run = one_run(tiny, "raises-net", "mnist-scale-28")
    record = execute(run, CPU, Path("results"), Watch())
    monkeypatch.setattr("bench.notebook.one_run._session", lambda *_: Outcome([record], False))
    with pytest.raises(BenchError, match="failed: RuntimeError: no such luck second line") as caught:
        bench.train("raises-net", protocol=tiny)
    assert str(run_record_path(Path("results"), run)) in str(caught.value) and "\n" not in str(caught.value)
    assert "no such luck" in caught.value.__notes__[0] and "tiny_net.py" in caught.value.__notes__[0]


def test_a_protocol_may_be_a_dictionary(plugin, monkeypatch, trained):
    planned = []
    monkeypatch.setattr("bench.notebook.api.do", lambda run, *_: planned.append(run) or trained.record)
    given = {**yaml.safe_load(TINY), "name": "mine"}
    bench.train("tiny-net", protocol=given)
    (run,), (file,) = planned, Path("results/given").iterdir()
    assert run.protocol.name == "mine" and run.recipe.optimizer.eps == 1e-8
    assert run.command.endswith(f"--protocol {file} --plugin {plugin}")
    bench.train("tiny-net", protocol=given)
    assert len(list(Path("results/given").iterdir())) == 1 and planned[1].id == run.id


SLOW = """
import os
import time

import models
from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images):
        time.sleep(float(os.environ["SECONDS"]))
        return self.layer(images.flatten(1))


@models.register("slow-net", tasks="mnist-scale-28")
def slow_net(task):
    return Slow()
"""


@pytest.fixture
def interruptible():
    """Ctrl-C does what it does in a notebook, also where the tests themselves were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_ctrl_c_leaves_the_state_and_the_same_call_goes_on(own_registry, interruptible, tiny, monkeypatch):
    Path("slow_net.py").write_text(SLOW)
    models.load_plugin("slow_net.py")
    monkeypatch.setenv("SECONDS", "0.4")
    state, ended, before = Path("results/.checkpoints"), threading.Event(), signal.getsignal(signal.SIGINT)

    def press():
        while not ended.wait(0.02):
            if list(state.glob("slow-net*.pt")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    threading.Thread(target=press, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt, match="the same call goes on from there"):
            bench.train("slow-net", protocol=tiny, device="cpu", progress=False)
    finally:
        ended.set()
    assert list(state.glob("slow-net*.pt")) and not list(Path("results/tiny").rglob("*.json"))
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setenv("SECONDS", "0")
    result = bench.train("slow-net", protocol=tiny, device="cpu", progress=False)
    assert len(result.curves["train_loss"]) == 3 and not list(state.glob("slow-net*.pt"))
    assert min(result.record.timings.train_seconds_per_epoch[:1]) > 1  # its first epoch was not done again


CELL = """import models
from torch import nn

@models.register("cell-net", tasks="mnist-scale-28")
def cell_net(task):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""


def run_cell(text, number):
    """As a notebook does: the text is kept for tracebacks, under a name that is no file's."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), {"__name__": "__main__"})


def test_an_interrupt_that_comes_with_the_last_step_is_not_lost(trained, interruptible, tiny, monkeypatch):
    def interrupted(run, device, results, stop):
        os.kill(os.getpid(), signal.SIGINT)
        return Outcome([], stopped=False)

    monkeypatch.setattr("bench.notebook.one_run._session", lambda *given: given[-1].poll_only() or interrupted(*given))
    with pytest.raises(KeyboardInterrupt, match="the same call goes on from there"):
        bench.train("tiny-net", "mnist-scale-28", protocol=tiny)


def test_a_model_of_a_cell(own_registry, tiny, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)  # as where cells are run
    run_cell(CELL, 1)
    result = bench.train("cell-net", protocol=tiny, device="cpu", progress=False)
    (file,) = Path("results/given").iterdir()
    assert file.read_text() == CELL and f"--plugin {file}" in result.record.command
    assert isinstance(result.network, torch.nn.Module)
    run_cell(CELL.replace("784, 10", "784, 10, False"), 2)  # edited and run again
    with pytest.raises(BenchError, match="the cell that registers cell-net is another than"):
        bench.load(result.record.run_id)
    models.registry.catalogue._models[:] = [one for one in models.infos() if one.name != "cell-net"]
    models.load_plugin(file)  # the file repeats the run
    assert rebuild(result.record).id == result.record.run_id
    assert isinstance(bench.load(result.record.run_id), torch.nn.Module)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CELL.replace("from torch import nn\n", ""), "has to hold all that it uses, imports too, failed: .*name 'nn'"),
        (CELL + "import bench\nif 'given' in __file__: bench.train('cell-net')\n", "call it in a cell or file of its own"),
    ],
)
def test_a_cell_that_is_no_file_by_itself_is_said_and_leaves_nothing(own_registry, tiny, text, said):
    from torch import nn

    name = "<cell 9>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), {"__name__": "__main__", "nn": nn, "__file__": ""})
    with pytest.raises(BenchError, match=said):
        bench.train("cell-net", protocol=tiny, device="cpu")
    assert list(Path("results/given").iterdir()) == [] and not list(Path("results").rglob("*.json"))


def test_code_whose_text_is_nowhere(own_registry, tiny):
    exec(compile(CELL, "<stdin>", "exec"), {"__name__": "__main__"})
    with pytest.raises(BenchError, match="cannot be read back; write it to a file of its own"):
        bench.train("cell-net", protocol=tiny)


def test_a_model_in_the_script_that_is_running(own_registry, tiny):
    Path("script.py").write_text(CELL)
    exec(compile(CELL, "script.py", "exec"), {"__name__": "__main__"})
    with pytest.raises(BenchError, match=r"by the script that is running \(script.py:"):
        bench.train("cell-net", protocol=tiny)


def test_within_a_plugin_nothing_is_trained():
    with registering("0" * 64), pytest.raises(BenchError, match="call it in a cell or file of its own"):
        bench.train("cnn")


def test_no_such_run(trained):
    shutil.copy(trained.path, "copy.json")
    with pytest.raises(BenchError, match="no record of a run 'x'"):
        bench.load("x", results=trained.results)
    with pytest.raises(RecordError, match="no readable record"):
        bench.load("missing.json")
    with pytest.raises(BenchError, match="its weights are not in"):
        bench.load("copy.json")


def test_importing_bench_is_light_and_offers_what_is_for_notebooks():
    code = "import sys, bench; print(dir(bench), 'torch' in sys.modules or 'pydantic' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip().endswith("False") and all(f"'{name}'" in said for name in ("train", "load", "predict", "Result"))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = bench.trian
    from bench import plan  # submodules are found as ever

    assert plan.Run
