"""The command line where people have it run: odd variables, folders, terminals. Several at once, for each start takes seconds.

Should one of these fail, run it with half of its settings.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.paths import cache_folder

ROOT = Path(__file__).resolve().parents[2]

UNSET = None
CHEAP = (
    "--help",
    "run --help",
    "run --plugin {here}/my_net.py --protocol {here}/tiny.yaml --model tiny-net --device cpu --results {results} --dry-run",
    "list models --plugin {here}/my_net.py",
    "list tasks",
    "list protocols",
    "list plans",
    "timings --records {records} --output {here}/timings.md --plot {here}/timings.png",
    "compare sesn-scalar cnn --protocol short --records {records}",
    "leaderboard --records {results} --output {here}/B.md --folder {here}/board",
)
RUN = "run --plugin {here}/my_net.py --protocol {here}/tiny.yaml --task mnist-scale-28 --model tiny-net --device cpu"
MEASURE = "--plugin {here}/my_net.py --task mnist-scale-28"
MEASURING = (  # one for each environment
    f"time --model tiny-net {MEASURE} --repeats 1 --batch-size 2 --records {{results}}",
    f"equivariance --model tiny-net {MEASURE} --images 20 --results {{results}}",
    f"profile tiny-net {MEASURE} --batch-size 2 --output {{here}}/profiles",
)
# In one process, for a start of Python is most of what a verb takes.
EVERY_VERB = """
import sys
from bench.machine.streams import never_fail
never_fail()
from bench.cli.main import main
codes = []
for verb in sys.argv[1:]:
    try:
        main(verb.split())
    except SystemExit as ended:
        codes.append(ended.code)
print("CODES", codes)
"""
ENVIRONMENTS = {
    "a container": {
        "HOME": UNSET,
        "TERM": UNSET,
        "USER": UNSET,
        "LC_ALL": "C",
        "LANG": UNSET,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "TMPDIR": "/does/not/exist",
        "TZ": "Nowhere/Odd",
        "CUDA_VISIBLE_DEVICES": "garbage",
        "PYTHONDONTWRITEBYTECODE": "1",
        "umask": 0o077,
        "cwd": "read-only",
    },
    "a notebook's shell": {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "GIT_DIR": "{here}/other/.git",
        "GIT_WORK_TREE": "{here}/other",
        "PYTHONPATH": "{here}/strange",
        "HOME": "{here}/read-only",
        "COLUMNS": "20",
        "LINES": "x",
        "TERM": "dumb",
        "FORCE_COLOR": "1",
        "PYTHONIOENCODING": "cp1252",
        "http_proxy": "garbage",
        "https_proxy": "garbage",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "7",
        "TMPDIR": "{here}/" + "y" * 200,
    },
    "a developer's shell": {
        "PYTHONWARNINGS": "error",
        "PYTHONSAFEPATH": "1",
        "HOME": "/dev/null",
        "XDG_CACHE_HOME": "relative",
        "XDG_CONFIG_HOME": "/dev/null",
        "MPLCONFIGDIR": "/dev/null/x",
        "COLUMNS": "0",
        "PYTHONIOENCODING": "latin-1",
        "OMP_NUM_THREADS": "0",
        "BENCH_COMMIT": "garbage",
        "BENCH_DATA": "/dev/null",
        "cwd": "ÿ 网",
    },
}


@pytest.fixture
def here(workplace, tmp_path):
    """A protocol and a plugin, and what makes the surroundings hostile."""
    (tmp_path / ("y" * 200)).mkdir()
    (tmp_path / "read-only").mkdir(mode=0o555)
    (tmp_path / "ÿ 网").mkdir()
    (tmp_path / "strange" / "models").mkdir(parents=True)
    for name in ("models/__init__.py", "datasets.py", "leaderboard.py"):
        (tmp_path / "strange" / name).write_text("1 / 0\n")
    subprocess.run(["git", "init", "-q", tmp_path / "other"], check=True)
    return workplace


def start(here, changes, *words):
    changes = dict(changes)
    cwd, umask = here / changes.pop("cwd", "."), changes.pop("umask", -1)
    strange = changes.pop("PYTHONPATH", "").format(here=here)
    path = os.pathsep.join([*([strange] if strange else []), str(ROOT)])
    env = os.environ | {"PYTHONPATH": path, "BENCH_CACHE": str(cache_folder())}
    env |= {name: value.format(here=here) for name, value in changes.items() if value is not UNSET}
    env = {name: value for name, value in env.items() if changes.get(name, "") is not UNSET}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=env,
        umask=umask,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=280,
        check=False,
    )
    out, error = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in out + error, error
    assert "unexpected" not in error, error
    return done.returncode, out, error


@pytest.mark.parametrize(
    ("name", "measuring"),
    [
        pytest.param(*pair, id=pair[0], marks=[pytest.mark.slow] if number else [])
        for number, pair in enumerate(zip(ENVIRONMENTS, MEASURING, strict=True))
    ],
)
def test_every_verb_does_its_work(here, name, measuring):
    places = {"here": here, "results": here / "results", "records": ROOT / "records"}
    verbs = [verb.format(**places) for verb in (f"{RUN} --results {{results}}", measuring, *CHEAP)]
    code, out, error = start(here, ENVIRONMENTS[name], "-P", "-c", EVERY_VERB, *verbs)
    assert (code, out.rpartition("CODES ")[2].strip()) == (0, str([0] * len(verbs))), error
    (record,) = (json.loads(p.read_text()) for p in (here / "results").rglob("tiny-net_*tiny_*.json"))
    assert record["status"] == "ok"
    for made in ("B.md", "board", "timings.md", "timings.png"):
        assert (here / made).exists(), made
    assert start(here, ENVIRONMENTS[name], "-P", "-m", "bench", "list", "tasks")[0] == 0  # through the front door


def test_help_without_docstrings(here):
    for words in (["--help"], ["run", "--help"], ["list", "tasks"]):
        code, out, _ = start(here, {}, "-P", "-OO", "-m", "bench", *words)
        assert code == 0
        assert out


def test_a_folder_that_no_longer_exists_is_one_line(tmp_path):
    call = f'mkdir gone && cd gone && rmdir "$PWD" && exec "{sys.executable}" -P -m bench list models'
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", call], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "bench: the folder where you stand no longer exists; change to another one\n")
