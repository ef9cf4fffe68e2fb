"""A model's code is a part of its runs' identity; a run's numbers do not depend on what ran before it."""

import json
import os
import random
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from record_factory import make_record

import models
import models.registry.content
from bench.plan import PlanPart, Run, plan_runs
from bench.protocol import load_protocol
from bench.record import failed_record
from bench.scheduling import child, worker
from bench.scheduling.done_runs import done, notes_on_other_code
from bench.scheduling.engines.local import Local
from bench.scheduling.engines.remote_worker import RemoteWorker
from bench.scheduling.messages import Job, Note, RunFailed, RunFinished, from_line
from bench.scheduling.worker import Worker
from bench.training.run import execute
from bench.training.trainer import Watch

TASK, CPU = "mnist-scale-28", torch.device("cpu")
NETWORK = """
import models
from torch import nn

from {helper} import WIDTH


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, WIDTH)

    def forward(self, images):
        return self.layer(images){call}


@models.register("{name}", tasks="mnist-scale-*")
def net(task):
    return Net()
"""


def plugin(folder, name="own-net", helper="width", call=".flatten(1)"):
    folder.mkdir(exist_ok=True)
    (folder / f"{helper}.py").write_text("WIDTH = 10\n")
    (folder / "net.py").write_text(NETWORK.format(name=name, helper=helper, call=call))
    models.load_plugin(folder / "net.py")
    return folder / "net.py"


def planned(tiny, *names, task=TASK):
    return plan_runs([PlanPart(models=list(names), tasks=[task])], [0], load_protocol(str(tiny)))


def test_a_plugins_content_is_in_its_runs_ids_and_seeds_and_a_built_in_models_is_not(tiny, tmp_path, own_registry):
    plugin(tmp_path)
    run, cnn = planned(tiny, "own-net")[0], planned(tiny, "cnn")[0]
    assert (run.source, run.plugin) == (models.info("own-net", TASK).source, str(tmp_path / "net.py"))
    assert (cnn.source, cnn.plugin) == ("", "")
    for other in (replace(run, source="0" * 64), replace(run, source="")):
        assert other.id != run.id and other.seed("weights") != run.seed("weights")
    elsewhere = replace(run, plugin="/elsewhere/net.py")
    assert (elsewhere.id, elsewhere.seed("epoch", 1)) == (run.id, run.seed("epoch", 1))


def test_the_process_that_trains_has_the_same_run(tiny, tmp_path, own_registry):
    plugin(tmp_path)
    for run in planned(tiny, "own-net", "cnn"):
        again = Run.from_json(json.loads(json.dumps(run.to_json())))
        assert (again, again.id) == (run, run.id)
        assert Local(CPU, tmp_path).job(0, run).plugin == run.plugin  # a built-in model's job brings no plugin


def test_a_record_holds_the_code(tiny, tmp_path, own_registry):
    plugin(tmp_path)
    run, cnn = planned(tiny, "own-net")[0], planned(tiny, "cnn")[0]
    assert failed_record(run, CPU, "lost", "", []).source == run.source
    assert failed_record(cnn, CPU, "lost", "", []).source is None


def job_of(run):
    return Job(run.to_json(), run.id, ".", "cpu", plugin=run.plugin)


def test_a_process_whose_plugin_is_another_refuses_the_run(tiny, tmp_path, own_registry):
    plugin(tmp_path)
    (run,) = planned(tiny, "own-net")
    assert child._prepared(job_of(run)) == (run, CPU)
    with pytest.raises(models.ModelError, match=r"the plugin \S+net.py has changed since .*; give the same command again"):
        child._prepared(job_of(replace(run, source="0" * 64)))


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"plugin": "gone.py"}, "ModelError", "'gone.py' is not a Python file"),
        ({"device": "cuda:7"}, "BenchError", "device 'cuda:7' is unavailable here"),
        ({"run": {}}, "KeyError", "protocol"),
    ],
)
def test_what_goes_wrong_before_a_run_is_told(tiny, tmp_path, own_registry, change, kind, said):
    plugin(tmp_path)
    (run,) = planned(tiny, "own-net")
    read, write = os.pipe()
    with os.fdopen(write, "wb") as answers:
        child._do(replace(job_of(run), **change), threading.Event(), answers)
    (answer,) = [from_line(line) for line in os.fdopen(read, "rb")]
    assert isinstance(answer, RunFailed) and answer.kind == kind and said in answer.message and answer.traceback_tail


# A process that answers as the one that trains does, and says which process it is.
STAND_IN = """
import json, os, sys
for line in sys.stdin:
    run = json.loads(line)["run"]
    ended = {"is": "RunFinished", "record": run["record"]}
    if run["fails"] == "early":
        ended = {"is": "RunFailed", "kind": "no", "message": "", "traceback_tail": []}
    for said in {"is": "Note", "text": str(os.getpid())}, ended:
        print(json.dumps(said), flush=True)
"""


@pytest.mark.parametrize(
    ("runs", "processes"),
    [
        ([("", ""), ("", ""), ("", "")], 1),
        ([("a", ""), ("", "")], 2),
        ([("", ""), ("a", ""), ("a", ""), ("b", ""), ("", ""), ("", "")], 4),
        ([("", "late"), ("", ""), ("", "early"), ("", "")], 3),
    ],
)
def test_after_a_strangers_run_and_after_a_failure_comes_a_new_process(tmp_path, monkeypatch, runs, processes):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(worker, "PROGRAM", [sys.executable, str(tmp_path / "stand_in.py")])
    failure = {"kind": "no", "message": "", "traceback_tail": []}
    made = {fails: make_record(failure=failure if fails else None).model_dump(mode="json") for fails in ("", "early", "late")}
    trainer = Worker()
    seen = []
    for source, fails in runs:
        trainer.begin(Job({"source": source, "fails": fails, "record": made[fails]}, "x", str(tmp_path), "cpu"))
        said = []
        while not said or isinstance(said[-1], Note):
            said += trainer.receive()
        assert [type(one) for one in said] == [Note, RunFailed if fails == "early" else RunFinished]
        seen.append(said[0].text)
    trainer.close()
    assert len(seen) == len(runs)
    assert len(set(seen)) == processes


def test_a_worker_elsewhere_gets_the_plugin_with_the_files_beside_it(tiny, tmp_path, monkeypatch, own_registry):
    file = plugin(tmp_path / "own-code", helper="my_width")
    (run,) = planned(tiny, "own-net")
    remote = RemoteWorker()
    begun = []
    monkeypatch.setattr(remote, "begin", begun.append)
    files = {name: path.read_bytes() for name, path in models.registry.content.files_of(file).items()}
    remote.begin_from(job_of(run), files, None)
    (job,) = begun
    assert job.plugin != run.plugin and Path(job.plugin).parent.parent == remote.results
    assert models.registry.content.content_hash(models.registry.content.files_of(Path(job.plugin))) == run.source
    remote.begin_from(replace(job_of(run), plugin=""), {}, None)
    assert begun[-1].plugin == "" and begun[-1].results == str(remote.results)
    remote.close()


def ok(run, **software):
    record = failed_record(run, CPU, "lost", "", [])
    used = record.software.model_copy(update={"git_commit": "a" * 40, "git_dirty": False, **software})
    return record.model_copy(update={"status": "ok", "software": used})


def test_finished_runs_of_other_code_are_said(tiny, tmp_path, own_registry):
    plugin(tmp_path)
    run, other, cnn = planned(tiny, "own-net")[0], planned(tiny, "own-net", task="mnist-scale-56")[0], planned(tiny, "cnn")[0]
    today = ("a" * 40, False)
    before = ok(replace(run, source="0" * 64))
    (line,) = notes_on_other_code([run, other, cnn], [before, ok(cnn)], today)
    assert line.startswith("1 finished run of own-net: its code has changed since")
    assert done([run, other], [before, ok(other)]) == {other.id}
    held_none = ok(replace(run, source=""))
    assert done([run], [held_none]) == {run.id}
    (line,) = notes_on_other_code([run], [held_none], today)
    assert line.startswith("1 of those done is from before records held a plugin's code")
    assert not notes_on_other_code([run], [before, ok(run)], today)  # done with today's, too
    assert not notes_on_other_code([other], [before], today)
    failed = before.model_copy(update={"status": "failed"})
    assert not notes_on_other_code([run], [failed], today)


def test_done_runs_of_another_commit_are_said(tiny):
    runs = planned(tiny, "cnn", "sesn-scalar", "sevf-scalar")
    today = ("a" * 40, False)
    assert not notes_on_other_code(runs, [ok(run) for run in runs], today)
    assert not notes_on_other_code(runs, [ok(run, git_commit="b" * 40) for run in runs], (None, None))
    assert not notes_on_other_code(runs, [ok(run, git_commit=None, git_dirty=None) for run in runs], today)
    assert not notes_on_other_code(runs[:1], [ok(run, git_commit="b" * 40) for run in runs[1:]], today)
    records = [ok(runs[0]), ok(runs[1], git_commit="b" * 40), ok(runs[2], git_dirty=True)]
    (line,) = notes_on_other_code(runs, records, today)
    assert "than today's aaaaaaa: 1 at bbbbbbb, 1 at aaaaaaa + changes" in line
    (line,) = notes_on_other_code(runs[:1], records, ("a" * 40, True))
    assert "than today's aaaaaaa + changes: 1 at aaaaaaa" in line


def state_of_the_process():
    return {
        "default type": torch.get_default_dtype(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "threads": torch.get_num_threads(),
        "matmul": (
            torch.get_float32_matmul_precision(),
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
        ),
        "repeatable": (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        "cudnn": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, torch.backends.mkldnn.enabled),
        "warnings": list(warnings.filters),
        "place": Path.cwd(),
        "environment": dict(os.environ),
        "hooks": (torch.nn.modules.module._global_forward_hooks, torch.nn.modules.module._global_forward_pre_hooks),
        "printing": vars(torch._tensor_str.PRINT_OPTS) | np.get_printoptions(),
        "path": list(sys.path),
    }


def test_a_built_in_models_run_does_not_depend_on_what_ran_before_it(tiny, tmp_path):
    """Alone, and after runs of other models, images and precisions that leave the generators somewhere else."""
    run = planned(tiny, "cnn")[0]
    alone = execute(run, CPU, tmp_path / "alone", Watch())
    before = state_of_the_process()
    other = load_protocol(str(tiny)).with_settings(precision="bf16", epochs=1, evaluation_batch=7)
    for its in plan_runs([PlanPart(models=["sesn-scalar", "cnn"], tasks=["mnist-scale-28+"])], [0], other):
        assert execute(its, CPU, tmp_path / "others", Watch()).status == "ok"
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    again = execute(run, CPU, tmp_path / "again", Watch())
    assert alone.status == again.status == "ok"
    assert alone.metrics == again.metrics
    assert state_of_the_process() == before


def test_what_was_compiled_before_has_no_part_in_a_compiled_run(tiny, tmp_path, monkeypatch):
    """Dynamo keeps, for a class of networks, that their shapes change, and gives up after so many: it starts anew."""
    happened = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: happened.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda network, **_: happened.append("compile") or network)
    protocol = load_protocol(str(tiny)).with_settings(compile=True)
    (run,) = plan_runs([PlanPart(models=["cnn"], tasks=[TASK])], [0], protocol)
    record = execute(run, CPU, tmp_path, Watch())
    assert record.status == "ok", record.failure
    assert happened == ["reset", "compile"]


LEAVES = """
import models


@models.register("leaving-net", tasks="mnist-scale-*")
def net(task):
    raise SystemExit(3)
"""


def test_a_model_that_asks_to_leave_fails_as_any_other(tiny, tmp_path, own_registry):
    (tmp_path / "leaves.py").write_text(LEAVES)
    models.load_plugin(tmp_path / "leaves.py")
    record = execute(planned(tiny, "leaving-net")[0], CPU, tmp_path / "results", Watch())
    assert (record.status, record.failure.kind, record.failure.message) == ("failed", "SystemExit", "3")
    assert any("leaves.py" in line for line in record.failure.traceback_tail)
