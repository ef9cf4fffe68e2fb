"""Failures stay small: whatever happens to one run, its record says so, and the others are done."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import PLUGIN, TINY

from bench.plan import PlanPart, Run, plan_runs
from bench.protocol import load_protocol
from bench.results import checkpoint_content, checkpoint_path, previous_path, put_checkpoint
from bench.training.failure import LINES, describe_failure

ROOT = Path(__file__).resolve().parents[3]

DYING = """

import os
import signal


class Dies(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.layer = how, nn.Linear(784, 10)

    def forward(self, images):
        print("a model may print")
        if self.how == "exits":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSEGV if self.how == "segfault" else signal.SIGKILL)


@models.register("dies-segfault", tasks="mnist-scale-28")
def dies_segfault(task):
    return Dies("segfault")


@models.register("dies-killed", tasks="mnist-scale-28")
def dies_killed(task):
    return Dies("killed")


@models.register("dies-exits", tasks="mnist-scale-28")
def dies_exits(task):
    return Dies("exits")


@models.register("a-big-net", tasks="mnist-scale-28")
def big_net(task):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10000), nn.Linear(10000, 10))
"""


@pytest.fixture
def workplace(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "my_net.py").write_text(PLUGIN + DYING)
    return tmp_path


def bench(folder, *arguments):
    call = [sys.executable, "-m", "bench", "run", "--protocol", "tiny.yaml", "--plugin", "my_net.py", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*call, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def records(folder):
    found = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    return {record["model"]: record for record in found}


def test_every_way_to_fail_leaves_a_record_and_the_others_go_on(workplace):
    names = ["dies-exits", "dies-killed", "dies-segfault", "nan-net", "raises-net", "tiny-net"]
    done = bench(workplace, *(word for name in names for word in ("--model", name)), "--task", "mnist-scale-28")
    assert done.returncode == 1, done.stderr
    found = records(workplace / "results")
    assert sorted(found) == names
    assert {name: record["status"] for name, record in found.items()} == {
        **dict.fromkeys(names, "failed"), "nan-net": "diverged", "tiny-net": "ok",
    }  # fmt: skip
    assert "SIGSEGV" in found["dies-segfault"]["failure"]["message"]
    assert "SIGKILL (out of memory?)" in found["dies-killed"]["failure"]["message"]
    assert "exit code 3" in found["dies-exits"]["failure"]["message"]
    for name in names[:-1]:
        assert re.search(rf"(failed|diverged): {name}_\S+; to repeat: bench run --model {name} ", done.stderr), name
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_several_jobs_give_the_same_records_as_one(workplace):
    chosen = ("--model", "tiny-net", "--model", "random-net", "--task", "mnist-scale-*")
    assert bench(workplace, *chosen[:4], "--task", "mnist-scale-28*", "--results", "one").returncode == 0
    assert bench(workplace, *chosen[:4], "--task", "mnist-scale-28*", "--results", "two", "--jobs", 2).returncode == 0
    one, two = ({p.name: json.loads(p.read_text())["metrics"] for p in (workplace / f).rglob("*.json")} for f in ("one", "two"))
    assert one == two
    assert len(one) == 4


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this system does not let a small disk be mounted")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk(workplace, small_disk):
    """The big network's state does not fit (96 MB); the small one's does."""
    done = bench(
        workplace, "--model", "a-big-net", "--model", "tiny-net", "--task", "mnist-scale-28", "--results", small_disk / "r"
    )
    found = records(small_disk / "r")
    assert done.returncode == 1, done.stderr
    assert (found["a-big-net"]["status"], found["tiny-net"]["status"]) == ("failed", "ok")
    assert found["a-big-net"]["failure"]["kind"] == "not saved"
    assert "a-big-net" in done.stderr
    assert list((small_disk / "r" / ".checkpoints").iterdir()) == []


def test_a_run_is_the_same_in_another_process(tiny, plugin):
    for protocol in ("paper", "quick", "stl-100", str(tiny)):
        for run in plan_runs(
            [PlanPart(models=["cnn"], tasks=["*"])], [0, 3], load_protocol(protocol), ("--protocol", protocol)
        ):
            again = Run.from_json(json.loads(json.dumps(run.to_json())))
            assert (again, again.id, again.seed("x"), again.command) == (run, run.id, run.seed("x"), run.command)


def test_a_checkpoint_that_travelled_is_the_same(tmp_path):
    put_checkpoint(tmp_path / "a", "x", lambda file: file.write(b"something"))
    here, there = checkpoint_content(tmp_path / "a", "x"), tmp_path / "b"
    put_checkpoint(there, "x", here)
    assert checkpoint_content(there, "x") == here == b"something"
    put_checkpoint(there, "x", b"newer")
    assert previous_path(checkpoint_path(there, "x")).read_bytes() == here


DEEP = """
def down(n):
    if n == 0:
        raise RuntimeError("no such luck")
    up(n - 1)


def up(n):
    down(n)
"""


def test_the_kept_lines_of_a_traceback_hold_the_models_own(tmp_path):
    """30 calls below the model's line: the end alone would show none of it."""
    helper = tmp_path / "elsewhere" / "deep.py"
    helper.parent.mkdir()
    helper.write_text(DEEP)
    own = tmp_path / "mine" / "own.py"
    own.parent.mkdir()
    own.write_text("def forward(deep):\n    return deep(30)\n")
    spaces: list[dict] = [{}, {}]
    for space, file in zip(spaces, (helper, own), strict=True):
        exec(compile(file.read_text(), str(file), "exec"), space)
    with pytest.raises(RuntimeError) as raised:
        spaces[1]["forward"](spaces[0]["down"])
    tail = describe_failure(raised.value, str(own)).traceback_tail
    assert len(tail) <= LINES
    assert f'File "{own}", line 2, in forward' in tail[0] and tail[1].strip() == "return deep(30)"
    assert tail[-1] == "RuntimeError: no such luck"
    plain = describe_failure(raised.value, None).traceback_tail
    assert len(plain) == LINES and not any("own.py" in line for line in plain)


def test_a_chain_of_exceptions_keeps_the_line_that_began_it(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("def forward():\n    return 1 / 0\n")
    space: dict = {}
    exec(compile(own.read_text(), str(own), "exec"), space)

    def wrapped(depth):
        try:
            wrapped(depth - 1) if depth else space["forward"]()
        except Exception as error:
            raise RuntimeError(f"wrapped {depth}") from error

    with pytest.raises(RuntimeError) as raised:
        wrapped(5)
    assert f'File "{own}", line 2, in forward' in describe_failure(raised.value, str(own)).traceback_tail[0]
