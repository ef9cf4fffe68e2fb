"""Hugging Face's `datasets`, the real one, in the same environment: neither package takes anything from the other."""

import shutil

import pytest
from built_wheel import ROOT, Environment

THEIRS = "datasets"  # on the package index; no dependency of the suite's
WHICH = "import {0}; print({0}.__file__)"
OURS = "import equiscale; import datasets; print(datasets.__file__, datasets.TASKS[0])"


@pytest.fixture(params=["theirs first", "ours first"])
def both(request, wheel, tmp_path):
    """An environment with both, installed one after the other. Theirs without what it needs: that changes nothing here."""
    environment = Environment(tmp_path / "env")
    for package in (THEIRS, wheel) if request.param == "theirs first" else (wheel, THEIRS):
        environment.install(package)
    assert "Hugging" in (environment.site / "datasets" / "__init__.py").read_text()
    return environment


@pytest.fixture
def here(tmp_path):
    """Where the user stands: folders of the suite's names, and a script called datasets.py."""
    folder = tmp_path / "here"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "__init__.py").write_text("raise SystemExit('the user has a package of this name')\n")
    (folder / "datasets.py").write_text("raise SystemExit('the user has a file of this name')\n")
    return folder


def answers(environment, folder):
    """The suite's commands, by name and as a module, find the suite's packages."""
    for call in (("bench",), ("equiscale",), ("python", "-m", "bench")):
        done = environment.run(folder, *call, "list", "tasks")
        assert (done.returncode, done.stderr) == (0, ""), call
        assert "mnist-scale-28" in done.stdout
    found = environment.run(folder, "python", "-P", "-c", OURS).stdout.split()
    return found == [str(environment.site / "equiscale" / "datasets" / "__init__.py"), "mnist-scale-28"]


def test_side_by_side_in_either_order(both, here):
    assert answers(both, here)
    done = both.run(here, "bench", "list", "models")
    assert done.returncode == 0 and "sesn-vector" in done.stdout, done.stderr


def test_taken_away_again_it_takes_nothing_along(both, here):
    both.uninstall(THEIRS)
    assert not (both.site / "datasets").exists()
    assert answers(both, here)
    found = both.run(here, "python", "-P", "-c", WHICH.format("datasets")).stdout.strip()
    assert found == str(both.site / "equiscale" / "datasets" / "__init__.py")  # by equiscale.pth


def test_ours_taken_away_leaves_theirs_whole(both, here):
    before = sorted(path for path in (both.site / "datasets").rglob("*.py"))
    both.uninstall("equiscale")
    assert sorted(path for path in (both.site / "datasets").rglob("*.py")) == before
    assert not [path for path in both.site.glob("equiscale*") if path.suffix != ".dist-info" and any(path.rglob("*.py"))]


def test_the_checkout_installed_editable_beside_it(tmp_path, here):
    """As `make env` leaves it: a copy of equiscale.py, and the checkout behind all else on the path."""
    environment = Environment(tmp_path / "env")
    environment.install(THEIRS)
    (environment.site / "equiscale").mkdir()
    shutil.copyfile(ROOT / "equiscale.py", environment.site / "equiscale" / "__init__.py")
    (environment.site / "equiscale.pth").write_text(f"equiscale\n{ROOT}\n")
    done = environment.run(
        here, "python", "-P", "-c", "import equiscale, sys; sys.argv[1:] = ['list', 'tasks']; equiscale.main()"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mnist-scale-28" in done.stdout
    done = environment.run(ROOT, "python", "-m", "bench", "list", "protocols")
    assert (done.returncode, done.stderr) == (0, "")


def test_imported_before_the_suite_it_is_named_with_what_to_do(both, here):
    """In a notebook, or by a sitecustomize: then the name is theirs in this process, and one line says so."""
    (both.site / "datasets" / "__init__.py").write_text("")  # without its dependencies it cannot be imported
    code = "import datasets, equiscale, sys; sys.argv[1:] = ['list', 'tasks']; equiscale.main()"
    done = both.run(here, "python", "-P", "-c", code)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert f"{both.site / 'datasets' / '__init__.py'} was imported in place of the suite's own" in done.stderr
    for remedy in ("an environment of its own", "uvx equiscale", "pipx install equiscale", "`make env`"):
        assert remedy in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("order", ["theirs first", "ours first"])
def test_with_all_that_it_needs(wheel, tmp_path, here, order):
    """Both as a user installs them, every dependency from the package index: theirs can be imported, and ours answers."""
    environment = Environment(tmp_path / "env", others=False)
    for package in (THEIRS, wheel) if order == "theirs first" else (wheel, THEIRS):
        environment.install(package, deps=True)
    assert answers(environment, here)
    found = environment.run(here, "python", "-P", "-c", "import datasets; print(datasets.Dataset.__module__)")
    assert found.stdout.strip() == "datasets.arrow_dataset", found.stderr
    done = environment.run(here, "bench", "leaderboard", "--records", str(ROOT / "records" / "short"), "--output", "B.md")
    assert done.returncode == 0, done.stderr
    assert "equiscale[train]" in environment.run(here, "bench", "list", "models").stderr
    environment.uninstall(THEIRS)
    assert answers(environment, here)
