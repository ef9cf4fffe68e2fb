"""Completion in shells: which candidates there are for which line, that nothing else is ever said, and each shell's script."""

import os
import resource
import shutil
import subprocess
import sys

import pytest
import typer.main
from command_line import ROOT, bench, call
from record_factory import make_record
from tiny import PLUGIN

import datasets
import models
from bench.cli.completion import FORMS, SCRIPTS, candidates
from bench.cli.main import app
from bench.plan import known_plans
from bench.protocol import built_in_protocols
from leaderboard.records.store import write_record
from models.registry.unimported import method_files, names_in, options_of

pytestmark = pytest.mark.usefixtures("no_plugins")
VERBS = [command.name for command in app.registered_commands if not command.hidden]


def found(line):
    return [value for value, _ in candidates(typer.main.get_command(app), line)]


# ------------------------------------------------------------------------------------------------------ read, not imported


def test_names_and_options_are_those_of_the_catalogue():
    own = [model for model in models.infos() if not model.source]
    assert names_in(method_files()) == sorted({model.name for model in own})
    for name in {model.name for model in own}:
        known: dict[str, set[str]] = {}
        for model in (model for model in own if model.name == name):
            for option, by_task in model.options.items():
                known.setdefault(option, set()).update(value for values in by_task.values() for value in values)
        assert {option: set(values) for option, values in options_of(name, method_files()).items()} == known


@pytest.mark.parametrize("content", [b"", b"def (", b"\xff\xfe@register('x')", b"@register(name)\ndef f(): ...", b"(" * 5000])
def test_a_file_that_says_nothing_has_no_names(tmp_path, content):
    (tmp_path / "a.py").write_bytes(content)
    assert names_in([tmp_path / "a.py", tmp_path / "gone.py", tmp_path]) == []
    assert options_of("x", [tmp_path / "a.py", tmp_path / "gone.py"]) == {}


def test_values_that_are_not_written_out_are_left_out(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import models\nWIDE = {'w': {'stl10+': ('1', 2)}}\nA = B\nB = A\n"
        "@models.register('x', options={**WIDE, 'c': tuple(range(3)), 'n': NOWHERE, 'l': A, 'k': ['y', f()]})\ndef x(): ...\n"
    )
    assert options_of("x", [file]) == {"w": ["1", "2"], "c": [], "n": [], "l": [], "k": ["y"]}


# ------------------------------------------------------------------------------------------------------------- candidates


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_verbs_and_their_options(place):
    assert found("bench ") == VERBS
    assert found("equiscale le") == ["leaderboard"]
    assert found("bench run --jo") == ["--jobs"]
    assert "--version" in found("bench --")
    assert set(found("bench leaderboard --")) >= {"--check", "--records", "--help"}
    assert found("bench leaderboard --check --fol") == ["--folder"]


def test_models_and_what_may_follow_an_at(place):
    assert (
        found("bench run --model ") == models.list_models() == found("bench run --all --model=")[:0] + found("bench profile ")
    )
    assert found("bench run --model cnn --model sesn-v") == ["sesn-vector"]
    assert found("bench run --model 'sesn-v") == found('/usr/bin/bench run --model "sesn-v') == ["sesn-vector"]
    assert set(found("bench run --model sesn-vector@p")) == {"sesn-vector@pool=max", "sesn-vector@pool=average"}
    after = found("bench run --model sesn-vector@pool=max,config=28p,")
    assert set(after) == {f"sesn-vector@pool=max,config=28p,upsample={way}" for way in ("nearest", "bilinear")}
    assert found("bench run --model=sesn-vector@pool=m") == ["--model=sesn-vector@pool=max"]
    assert found("bench compare cnn sesn-v") == found("bench compare sesn-v") == ["sesn-vector"]
    assert found("bench compare cnn dss ") == []
    assert found("bench run --model nothing@") == []


def test_models_of_a_plugin_that_is_named_before(place):
    (place / "my_net.py").write_text(PLUGIN + "raise SystemExit('never run')\n")
    assert found("bench run --plugin my_net.py --model tiny") == ["tiny-net"]
    assert found("bench run --plugin gone.py --model tiny") == []


def test_tasks_protocols_plans_and_the_rest(place):
    (place / "mine.yaml").write_text("")
    (place / "$(touch pwned).yaml").write_text("")
    assert found("bench run --task ") == found("bench data --task ") == list(datasets.TASKS)
    assert found("bench run --protocol ") == [*built_in_protocols(), "mine.yaml"]
    assert found("bench run --plan ") == known_plans()
    assert found("bench list ") == ["models", "tasks", "protocols", "plans"]
    assert found("bench run --engine s") == ["slurm"]
    assert found("bench completion ") == list(SCRIPTS) == list(FORMS)
    assert found("bench run --jobs ") == found("bench run --plugin ") == found("bench run --results r") == []


def test_run_ids_of_the_folders_that_are_read(place):
    def recorded(folder, model, number):
        run_id = f"{model}_mnist-scale-28_r{number}_paper_0123456789"
        return write_record(place / folder, make_record(model, realization=number, run_id=run_id)).stem

    ids, mine = [recorded("records", "a", number) for number in range(2)], recorded("mine", "b", 0)
    (place / "records" / "timings" / "mnist-scale-28" / "a").mkdir(parents=True)
    (place / "records" / "timings" / "mnist-scale-28" / "a" / "a_mnist-scale-28_r0_step.json").write_text("{}")
    assert found("bench verify ") == found("bench verify a_") == sorted(ids)
    assert found("bench verify --records mine ") == found("bench scale-sweep --results mine b") == [mine]
    assert found("bench verify x") == found("bench verify --records nowhere ") == []


@pytest.mark.parametrize(
    "line",
    ["", " ", "x", "bench", "bench nonsense --a ", "bench run '", 'bench run "\\', "bench run --model",
     "bench run --model=@=,@",      "bench run --jobs 1 --jobs ", "bench -x --y run", "\x00", "bench list a b c ",
     "bench run --task \udcff",      "bench --version ", "bench run --batch-split x --model ",
     "bench completion bash --line bench ", "é ü "],
)  # fmt: skip
def test_no_line_is_an_error(place, capsys, line):
    (place / "records").write_text("no folder")
    values = found(line)
    assert all(value.isascii() and not value.startswith(" ") for value in values)
    assert capsys.readouterr() == ("", "")


def test_an_answer_is_quick_and_needs_no_torch(place):
    blocked = (
        "import sys; sys.modules['torch'] = None; from bench.cli.main import main\n"
        "main(['completion', 'zsh', '--line', 'bench run --model sesn-vector@pool'])"
    )
    said = subprocess.run([sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["sesn-vector@pool=max", "sesn-vector@pool=average"] and said.stderr == ""
    assert cost(place, "completion", "bash", "--line", "bench run --model sesn-vector@c") < 2.5 * cost(place, "--help")


def cost(place, *words):
    """Seconds of a processor, the least of five: others may be at work here."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert bench(place, *words).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_a_shell_without_a_script_is_one_line(capsys):
    code, said, (error,) = call(capsys, "completion", "fisch")
    assert (code, said) == (2, "") and "did you mean 'fish'" in error and "bench completion bash | zsh | fish" in error


# ---------------------------------------------------------------------------------------------------------------- scripts


@pytest.fixture
def on_path(tmp_path):
    """A folder with the two commands; the environment that finds them there."""
    for name in ("bench", "equiscale"):
        (tmp_path / name).write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m bench "$@"\n')
        (tmp_path / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


ASK_BASH = """
eval "$(bench completion bash)" || exit 3
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
COMP_LINE=$1 COMP_POINT=${#1}
_bench_completion "${1%% *}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bench leaderb", "leaderboard"),
        ("equiscale run --model sesn-v", "sesn-vector"),
        ("bench run --model=sesn-v", "sesn-vector"),  # bash replaces what follows the =
        ("bench run --model sesn-vector@pool", "@pool=max\n@pool=average"),  # and an @ with what follows
        ("bench run --model sesn-vector@pool=a", "average"),
        ("bench run --plugin ", ""),
    ],
)
def test_bash(on_path, line, said):
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK_BASH, "bash", line], env=on_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == (said, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh(on_path):
    """Its widgets replaced by what prints their arguments."""
    ask = (
        "compdef() { print $* }; _describe() { print -l ${(P)2} }; _files() { print files }\n"
        'eval "$(bench completion zsh)"; words=(bench run --model "sesn-v"); CURRENT=4; _bench_completion\n'
        'words=(bench run --plugin ""); _bench_completion'
    )
    done = subprocess.run(["zsh", "-f", "-c", ask], env=on_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["_bench_completion", "bench", "equiscale", "sesn-vector", "files"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish(on_path):
    ask = 'bench completion fish | source; complete -C "equiscale run --model=sesn-v"; complete -C "bench leaderb"'
    done = subprocess.run(["fish", "--no-config", "-c", ask], env=on_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].strip() == "--model=sesn-vector"
    assert done.stdout.splitlines()[1].startswith("leaderboard\tRebuild the board")
