"""Whatever lies about with the names of the suite's packages: the suite imports its own, or says in one line what is wrong."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("datasets", "leaderboard", "models")
HUGGING_FACE = "import a_dependency_that_is_not_here\n"
# Without the checkout and what an editable installation of it added: the folder given is before this environment's own.
START = f"""
import site, sys
sys.path[:] = [folder for folder in sys.path if folder != {str(ROOT)!r}]
before = list(sys.path)
site.addsitedir(sys.argv.pop(1))
added = [folder for folder in sys.path if folder not in before]
place = next(number for number, folder in enumerate(before) if folder.endswith("site-packages"))
sys.path[:] = [*before[:place], *added, *before[place:]]
"""
SCRIPT = START + "import equiscale; equiscale.main()"  # the console script
MODULE = START + "import runpy; runpy.run_module('bench', run_name='__main__', alter_sys=True)"


def python(folder, *words, path=(), **environment):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    if path:
        env["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """site-packages as the wheel makes them, and Hugging Face's datasets in them."""
    folder = tmp_path_factory.mktemp("site")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["sources"]) == set(wheel["only-include"]) == {"bench", *NAMES}
    for source, there in (wheel["sources"] | wheel["force-include"]).items():
        target = folder / there
        target.parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
        copy(ROOT / source, target)
    (folder / "datasets").mkdir()
    (folder / "datasets" / "__init__.py").write_text(HUGGING_FACE)
    return folder


def strangers(folder, form):
    """Packages of the user's with the suite's names, in one of the forms that they take."""
    for name in NAMES:
        if form == "file":
            (folder / f"{name}.py").write_text("import nothing_of_the_kind\n")
        else:
            (folder / name).mkdir()
            if form == "package":
                (folder / name / "__init__.py").write_text("this is no Python\n")
            elif form == "link":
                (folder / name / "__init__.py").symlink_to("nowhere")
    return folder


@pytest.mark.parametrize("form", ["file", "package", "folder", "link"])
@pytest.mark.parametrize("where", ["here", "first on the path"])
def test_the_users_packages_of_the_same_names_are_not_the_suites(tmp_path, form, where):
    strangers(tmp_path, form)
    path, words = ([ROOT], ["-m"]) if where == "here" else ([tmp_path, ROOT], ["-P", "-m"])
    done = python(tmp_path, *words, "bench", "list", "tasks", path=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mnist-scale-28" in done.stdout


@pytest.mark.parametrize("call", [SCRIPT, MODULE], ids=["script", "module"])
def test_installed_beside_hugging_faces_datasets(site, tmp_path, call):
    done = python(strangers(tmp_path, "package"), "-c", call, site, "list", "models")
    assert done.returncode == 0, done.stderr
    assert "sesn-vector" in done.stdout


def test_a_users_script_finds_the_packages_where_no_other_has_their_name(site, tmp_path):
    done = python(
        tmp_path, "-P", "-c", START + "import leaderboard, models; print(models.__file__, leaderboard.__file__)", site
    )
    assert [Path(file) for file in done.stdout.split()] == [
        site / "equiscale" / n / "__init__.py" for n in ("models", "leaderboard")
    ]
    both = python(tmp_path, "-c", START + "import equiscale, datasets; print(datasets.TASKS)", site)
    assert "mnist-scale-28" in both.stdout, both.stderr


def test_children_find_what_the_command_found(site, tmp_path):
    strangers(tmp_path, "package")
    code = (
        "import subprocess, bench.machine.processes as s, sys; sys.exit(subprocess.run([sys.executable, '-P', '-c', "
        "'import bench, datasets, models; print(datasets.__file__, models.__file__)'], env=s.child_environment()).returncode)"
    )
    done = python(tmp_path, "-P", "-c", START + "import equiscale; " + code, site, path=[tmp_path])
    assert done.stdout.count(str(site / "equiscale")) == 2, done.stderr


BROKEN = {  # a file of the installation, what is in its place (None: nothing), what the line says
    "a package overwritten": ("datasets/__init__.py", HUGGING_FACE, "was overwritten"),
    "a package missing": ("models", None, "package models is missing"),
    "a folder left of a package": ("leaderboard/__init__.py", None, "package leaderboard is missing"),
    "bench half there": ("bench/cli/main.py", None, "bench.cli.main"),
    "no net": ("bench/cli/catch_all.py", None, "not whole"),
    "another bench overwrote it": ("bench/__init__.py", "import click_of_frappe\n", "not whole"),
    "a verb broken": (
        "bench/cli/data.py",
        "1 / 0\n",
        "unexpected ZeroDivisionError: division by zero (bench/cli/data.py:1); BENCH_DEBUG=1",
    ),
    "no Python": ("datasets/__init__.py", "DataError = (\n", "unexpected SyntaxError"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_not_whole_is_one_line(site, tmp_path, how):
    name, content, said = BROKEN[how]
    file = shutil.copytree(site, tmp_path / "site") / "equiscale" / name
    if content is not None:
        file.write_text(content)
    elif file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    done = python(tmp_path, "-c", SCRIPT, tmp_path / "site", "list", "tasks")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("bench: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_was_imported_before_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import models\n")
    (tmp_path / "models.py").write_text("")
    done = python(tmp_path, "-P", "-m", "bench", "list", path=[tmp_path, ROOT])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path / 'models.py'} was imported in place of" in done.stderr


def test_an_editable_installation_takes_the_checkouts(site, tmp_path):
    """It has a copy of equiscale.py, and the checkout on the path; Hugging Face's datasets come before that."""
    editable = tmp_path / "editable"
    (editable / "equiscale").mkdir(parents=True)
    shutil.copyfile(ROOT / "equiscale.py", editable / "equiscale" / "__init__.py")
    shutil.copytree(site / "datasets", editable / "datasets")
    (editable / "equiscale.pth").write_text(f"equiscale\n{ROOT}\n")
    done = python(tmp_path, "-P", "-c", SCRIPT, editable, "list", "tasks")
    assert (done.returncode, done.stderr) == (0, "")
    code = START + "import equiscale, datasets; print(datasets.__file__)"
    assert python(tmp_path, "-P", "-c", code, editable).stdout.strip() == str(ROOT / "datasets" / "__init__.py")
