"""What other packages and files do while they are imported costs themselves alone, in one line; a signal ends it still."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import models
from models.registry import catalogue
from models.registry.guarded_imports import guarded

ROOT = Path(models.__file__).parents[1]
GOOD = """
    import models
    @models.register("good-net", tasks="mnist-scale-*")
    def good_net(task):
        from torch import nn
        return nn.Linear(784, 10)
"""
# What an installed package does on import, and what is said of it.
BAD = {
    "raises": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "exits without a word": ("raise SystemExit", "SystemExit"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises what is no Exception": ("class Skipped(BaseException): ...\nraise Skipped('no')", "Skipped: no"),
    "calls itself": ("def f(): f()\nf()", "RecursionError"),
    "has a syntax error": ("x = (", "SyntaxError"),
    "lacks a package": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "takes a name": (GOOD.replace("good-net", "cnn"), "registered twice for mnist-scale-28: models/cnn.py"),
    "registers a name twice": (GOOD + GOOD, "registered twice for mnist-scale-28: epnet.py:3 and epnet.py:"),
    "registers and then fails": (GOOD + "\n    1 / 0", "ZeroDivisionError: division by zero"),
    "cannot say what is wrong": ("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E", "E: (its message cannot"),
}


def installed(folder, body, entry="bad = epnet", name="epnet"):
    """A site folder with a package that offers models."""
    (folder / f"{name}.py").write_text(textwrap.dedent(body))
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[bench.models]\n{entry}\n")
    return folder


def ask(site, code="import models; print(*models.list_models()); models.infos()"):
    path = os.pathsep.join(map(str, (ROOT, site)))
    call = [sys.executable, "-P", "-c", code]
    env = {**os.environ, "PYTHONPATH": path, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}  # torch fails over others' metadata itself
    return subprocess.run(call, capture_output=True, text=True, check=False, env=env, cwd=site)


@pytest.mark.parametrize(("body", "said"), BAD.values(), ids=BAD)
def test_a_package_that_cannot_be_imported_is_left_out_with_one_line(tmp_path, body, said):
    site = installed(tmp_path, body)
    installed(site, GOOD, "other = other", "other")
    done = ask(site)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("models: entry point bad = epnet did not load and is left out: ") and said in line
    names = done.stdout.split()
    assert {"cnn", "sesn-vector"} <= set(names)
    assert names.count("good-net") == 1  # the other package's: of one that fails nothing stays


@pytest.mark.parametrize(
    "entry", ["bad = epnet:nothing", "bad = nowhere", "bad = epnet.sub", "bad = a b c", "bad =", "bad", "= x", "\x00"]
)
def test_entry_points_that_mean_nothing_are_one_line(tmp_path, entry):
    done = ask(installed(tmp_path, "", entry))
    assert done.returncode == 0 and "sesn-vector" in done.stdout.split()
    assert len(done.stderr.splitlines()) <= 1 and "Traceback" not in done.stderr
    assert "epnet" in done.stderr or "bad" in done.stderr or entry in {"= x", "\x00"}


def test_what_a_package_prints_is_no_answer(tmp_path):
    done = ask(installed(tmp_path, "print('hello')\n" + textwrap.dedent(GOOD)))
    assert "hello" not in done.stdout and "good-net" in done.stdout.split()
    assert done.stderr == "hello\n"


def test_who_asks_for_a_built_in_model_runs_no_strangers_code(tmp_path):
    site = installed(tmp_path, "import pathlib; pathlib.Path('ran').touch()\n" + textwrap.dedent(GOOD))
    code = "import models; models.canonical_name('sesn-scalar@config=28', 'mnist-scale-28'); "
    code += "models.create('cnn', 'mnist-scale-28'); print(models.registry.catalogue.strangers_ran())"
    assert ask(site, code).stdout == "False\n"
    assert not (site / "ran").exists()
    code = "import models; print(models.create('good-net', 'mnist-scale-28'), models.registry.catalogue.strangers_ran())"
    assert "Linear" in (done := ask(site, code)).stdout and done.stdout.endswith("True\n")
    assert (site / "ran").exists()


def test_who_loads_a_plugin_runs_no_installed_package(tmp_path):
    site = installed(tmp_path, "import pathlib; pathlib.Path('ran').touch()\n" + textwrap.dedent(GOOD))
    (tmp_path / "my_net.py").write_text(textwrap.dedent(GOOD))
    code = "import models; print(models.load_plugin('my_net.py'), models.info('good-net', 'mnist-scale-56').origin)"
    assert ask(site, code).stdout == "['good-net'] my_net.py:3\n"
    assert not (site / "ran").exists()
    listed = ask(site, "import models; models.load_plugin('my_net.py'); print(*models.list_models())")
    assert listed.stdout.split().count("good-net") == 1
    assert "left out: model name 'good-net' is registered twice for mnist-scale-28: my_net.py:3 and epnet.py:4" in listed.stderr


class Stop(BaseException):
    """As the suite's own, which a signal's handler raises."""


def sent(number):
    os.kill(os.getpid(), number)
    while True:  # the handler raises at one of the next instructions
        pass


@pytest.mark.parametrize("then", ["passes", "is caught and becomes an exit", "is caught and becomes an error"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, Stop])
def test_what_a_signal_raises_passes_whatever_the_code_makes_of_it(kind, then):
    def stop(number, frame):
        raise kind("by a signal")

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(kind, match="by a signal"), guarded():
            try:
                sent(signal.SIGUSR1)
            except BaseException:
                if then == "is caught and becomes an exit":
                    sys.exit(1)
                if then == "is caught and becomes an error":
                    raise RuntimeError from None
                raise
        assert signal.getsignal(signal.SIGUSR1) is stop
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_code_that_raises_the_same_itself_is_a_failure():
    for kind in (KeyboardInterrupt, Stop, SystemExit, RecursionError, GeneratorExit):
        with pytest.raises(models.ModelError, match=f"^{kind.__name__}$"), guarded():
            raise kind


def test_in_another_thread_there_are_no_signals_to_notice():
    said = []

    def work():
        try:
            with guarded(lambda error: f"failed: {error}"):
                raise SystemExit(3)
        except models.ModelError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["failed: 3"]


def test_of_a_plugin_that_fails_nothing_stays_and_mended_it_is_loaded(tmp_path, own_registry):
    path = tmp_path / "half_net.py"
    body = 'import models\n@models.register("half-net", tasks="stl10+")\ndef half_net(task): ...\n'
    path.write_text(body + "raise KeyboardInterrupt\n")
    with pytest.raises(models.ModelError, match=r"half_net.py' raised on import: KeyboardInterrupt .*half_net.py:4"):
        models.load_plugin(path)
    assert "half-net" not in models.list_models()
    path.write_text(body)
    assert models.load_plugin(path) == ["half-net"]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("my-net", ""),
        ("zz-net", ""),
        ("tiny-net", ""),
        ("resnet", ""),
        ("sesnscalar", "sesn-scalar"),
        ("CNN", "cnn"),
        ("ss_cnn", "ss-cnn"),
    ],
)
def test_an_unknown_name_says_how_to_bring_ones_own_and_suggests_what_is_near_alone(own_registry, asked, hint):
    catalogue._models[:] = [model for model in models.infos() if model.module.startswith("models.")]  # not other tests'
    with pytest.raises(models.ModelError) as caught:
        models.info(asked, "mnist-scale-28")
    said = str(caught.value)
    assert "a model of your own needs --plugin FILE" in said
    assert ("did you mean" in said) == bool(hint) and (f"did you mean {hint!r}?" in said or not hint)


@pytest.mark.parametrize("ending", ["", "1 / 0"])
def test_a_plugin_may_import_a_method_file_of_the_suite(tmp_path, ending):
    (tmp_path / "deep_net.py").write_text(
        "import models\nfrom models import cnn\n"
        f'@models.register("deep-net", tasks="mnist-scale-*")\ndef deep_net(task): return cnn.nothing(task)\n{ending}\n'
    )
    code = (
        "import models\ntry: models.load_plugin('deep_net.py')\nexcept models.ModelError as error: print(error)\n"
        "print(type(models.create('cnn', 'mnist-scale-28')).__name__, repr(models.info('cnn', 'mnist-scale-28').source))\n"
    )
    done = ask(tmp_path, code)
    assert done.stdout.splitlines()[-1] == "MnistNet ''", done.stderr
    assert ("ZeroDivisionError" in done.stdout) == bool(ending)


def test_method_files_may_be_imported_before_models_are_listed(tmp_path):
    done = ask(
        tmp_path, "import models.sesn, models.cnn, models; models.infos(); print(models.canonical_name('cnn', 'stl10+'))"
    )
    assert (done.stdout, done.stderr) == ("cnn\n", "")
