"""`pip install equiscale`, without the extra [train]: what reads answers, and what trains or measures names the extra.

Every verb of the command line is called, those that are added later, too.
"""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from command_line import ROOT, RUN_TINY, bench

from bench.cli.catch_all import DISTRIBUTIONS, EXTRAS, describe_error
from bench.cli.main import app

RECORDS = ROOT / "records" / "short" / "mnist-scale-28"
TIMINGS = ROOT / "records" / "timings" / "mnist-scale-28"
RUN = next(path.stem for path in (RECORDS / "cnn").glob("cnn_mnist-scale-28_r0_*.json"))
READ = {  # a verb, and words after it with which it does its work
    "leaderboard": f"--records {RECORDS} --output B.md --folder board",
    "compare": f"cnn sesn-scalar --records {RECORDS}",
    "timings": f"--records {TIMINGS} --output T.md --plot T.png",
    "list": "tasks",
    "list protocols": "",
    "cite": "sesn-vector",
    "completion": "bash",
    "doctor": "",
    "list plans": "",
    "--version": "",
    "--help": "",
}
TRAIN = {
    "run": "--model cnn --task mnist-scale-28 --protocol quick --results R",
    "run --dry-run": "--all",
    "run --plugin": "my_net.py --model my-net --task mnist-scale-28 --protocol quick",
    "data": "--task mnist-scale-28 --realizations 0",
    "time": "--model cnn --task mnist-scale-28",
    "equivariance": "--model cnn --task mnist-scale-28",
    "scale-sweep": RUN,
    "generalise": RUN,
    "profile": "cnn",
    "verify": f"{RUN} --records {RECORDS}",
    "sprint": "--budget 9m --out S",
    "check": "cnn",
    "new": "my-own-net",
    "list models": "",
}
VERBS = [str(command.name) for command in app.registered_commands]
OTHERS = [verb for verb in VERBS if verb not in {*READ, *TRAIN}]  # called without a word more
MISSING = "raise ModuleNotFoundError(\"No module named '{0}'\", name='{0}')\n"
EVERY_VERB = """
import sys
from bench.cli.main import main
for verb in sys.argv[1:]:
    try:
        main(verb.split())
    except SystemExit as ended:
        print("ENDED", ended.code, flush=True)
    print("ENDED", end=" ", file=sys.stderr, flush=True)
"""


def without(folder, *names):
    """A folder in which these packages are missing, for PYTHONPATH."""
    for name in names:
        (folder / "site" / name).mkdir(parents=True)
        (folder / "site" / name / "__init__.py").write_text(MISSING.format(name))
    return os.pathsep.join([str(folder / "site"), str(ROOT)])


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Every call -> its exit code, its lines of error output. In one process, for starting Python is most of what it takes."""
    folder = tmp_path_factory.mktemp("no torch")
    (folder / "my_net.py").write_text("import models\nfrom torch import nn\n")
    calls = {**READ, **TRAIN, **dict.fromkeys(OTHERS, "")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", EVERY_VERB, *(f"{verb} {words}" for verb, words in calls.items())],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": without(folder, *TRAINING), "BENCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    codes = [int(code) for code in re.findall(r"^ENDED (\d+)$", done.stdout, re.MULTILINE)]
    said = [lines.splitlines() for lines in done.stderr.split("ENDED ")]
    assert len(codes) == len(said) - 1 == len(calls), done.stderr
    return dict(zip(calls, zip(codes, said, strict=False), strict=True)), done.stdout, folder


TRAINING = [package for package, extra in EXTRAS.items() if extra == "train"]


def test_what_the_extra_brings_is_what_a_line_says_that_it_brings():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in ("train", "ray", "slurm"):
        packages = {re.split("[<>=]", requirement)[0] for requirement in extras[extra]}
        assert packages - {"pillow"} == {DISTRIBUTIONS.get(name, name) for name, of in EXTRAS.items() if of == extra}


@pytest.mark.parametrize("verb", READ)
def test_what_reads_needs_no_torch(answers, verb):
    assert answers[0][verb] == (0, [])


def test_it_was_done(answers):
    _, said, folder = answers
    assert "mnist-scale-28" in said and "report " in said and "verdict: " in said
    assert "`sesn-vector`" in (folder / "B.md").read_text() and "`cnn`" in (folder / "T.md").read_text()
    assert (folder / "board" / "leaderboard.html").stat().st_size and (folder / "T.png").stat().st_size


@pytest.mark.parametrize("verb", TRAIN)
def test_what_trains_or_measures_names_the_extra_in_one_line(answers, verb):
    code, lines = answers[0][verb]
    assert (code, len(lines)) == (2, 1), lines
    assert "pip install 'equiscale[train]', or `make env` in a checkout" in lines[0]


@pytest.mark.parametrize("verb", OTHERS)
def test_every_other_verb_ends_well_or_in_one_line(answers, verb):
    code, lines = answers[0][verb]
    assert code in (0, 1) or (code, len(lines)) == (2, 1), lines
    assert not any("Traceback" in line or "unexpected" in line for line in lines)
    assert not any(line.endswith("is not installed") for line in lines)


def test_nothing_was_left_by_what_could_not_be_done(answers):
    folder = answers[2]
    assert {path.name for path in folder.iterdir()} <= {
        "site",
        "my_net.py",
        "board",
        "B.md",
        "T.md",
        "T.png",
        "cache",
        "S",
        "R",
    }


@pytest.mark.parametrize("package", EXTRAS)
def test_the_line_on_a_package_of_an_extra(package):
    line = describe_error(ModuleNotFoundError(f"No module named '{package}'", name=package))
    assert f"{package} is not installed in this Python" in line
    assert f"pip install 'equiscale[{EXTRAS[package]}]'" in line


@pytest.mark.parametrize(("package", "remedy"), [("sklearn", "'equiscale[train]'"), ("PIL", "pillow")])
def test_data_that_are_to_be_built_need_what_builds_them_before_anything_is_fetched(tmp_path, package, remedy):
    words = ("data", "--task", "mnist-scale-28", "--realizations", "0")
    done = bench(tmp_path, *words, PYTHONPATH=without(tmp_path, package), BENCH_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert f"{package} is not installed" in done.stderr
    assert f"pip install {remedy}, or `make env`" in done.stderr


def test_a_run_on_the_cpu_needs_neither_nvml_nor_torchvision(workplace):
    path = without(workplace, "pynvml", "torchvision")
    done = bench(workplace, *RUN_TINY, "--task", "mnist-scale-28", "--model", "tiny-net", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert len([*(workplace / "results").rglob("tiny-net_*_tiny_*.json")]) == 1
