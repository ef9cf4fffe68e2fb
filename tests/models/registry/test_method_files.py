"""A method file that cannot be used costs itself alone, in one line that names file and line; what is none is passed over."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.registry import catalogue

HEAD = "from models.registry import register\n"
OTHER = '@register("other", tasks="*")\ndef other(task): ...\n'
FORMS = {
    "a keyword": (HEAD, '@register(name="new", tasks="*")'),
    "positions": (HEAD, '@register("new", "*", "You, 2027")'),
    "a dictionary": (HEAD + 'SAID = {"tasks": "*", "paper": "You"}\n', '@register("new", **SAID)'),
    "constants": (HEAD + 'NAME = "new"\nTASKS: str = "*"\n', "@register(NAME, tasks=TASKS)"),
    "another name": ("from models import register as method\n", '@method("new", tasks="*")'),
    "the package": ("import models\n", '@models.register("new", tasks="*")'),
    "the package by another name": ("import models as m\n", '@m.register("new", tasks="*")'),
    "the registry": ("import models.registry.catalogue\n", '@models.registry.catalogue.register("new", tasks="*")'),
    "the registry by its name": ("from models import registry\n", '@registry.register("new", tasks="*")'),
    "on several lines": (HEAD, '@register(\n    "new",\n    tasks="*",\n)'),
    "beside another decorator": (HEAD + "from functools import cache\n", '@cache\n@register("new", tasks="*")'),
    "an f-string": (HEAD + "W = 'w'\n", '@register(f"ne{W}", tasks="*")'),
    "a call": (HEAD, '@register("NEW".lower(), tasks="*")'),
    "no decorator": (HEAD, 'register("new", tasks="*")(print)'),
    "inside a loop": (HEAD, 'for i in "*":\n  @register("new", tasks=i)\n  def inner(task): ...\n'),
}
BROKEN = {
    "a syntax error": (HEAD + '@register("new", tasks="*")\ndef new(task:\n', 3, "SyntaxError"),
    "no code at all": ("<<<<<<< HEAD\n", 1, "SyntaxError"),
    "an unknown name": (HEAD + '@register("new", tasks=TASKS)\ndef new(task): ...\n', 2, "NameError: name 'TASKS'"),
    "what it imports": (HEAD + "import methods.nowhere\n", 2, "ModuleNotFoundError: No module named 'methods.nowhere'"),
    "an exit": (HEAD + OTHER.replace("other", "new") + "raise SystemExit\n", 4, "SystemExit"),
    "no tasks": (HEAD + '@register("new")\ndef new(task): ...\n', 2, "it is for no task"),
    "no name": (HEAD + '@register(tasks="*")\ndef new(task): ...\n', 2, "missing 1 required positional argument: 'name'"),
    "no call": (HEAD + "@register\ndef new(task): ...\n", 2, "where a model's name belongs; the form"),
    "another argument": (HEAD + '@register("new", task="*")\ndef new(task): ...\n', 2, "register() got an unexpected keyword"),
    "a bad name": (HEAD + '@register("new..v2", tasks="*")\ndef new(task): ...\n', 2, "no '..'"),
    "bad options": (HEAD + '@register("new", tasks="*", options={"w": "8"})\ndef new(task): ...\n', 2, "no list of values"),
    "null bytes": (HEAD + "\0", 1, "null bytes"),
    "another encoding": (HEAD.encode() + b'NAME = "\xe9"\n', 2, "utf-8"),
    "nested too deeply": (HEAD + "x = " + "(" * 5000 + ")" * 5000, 2, ""),
    "UTF-16": (("\ufeff" + HEAD).encode("utf-16-le"), 1, ""),
}


@pytest.fixture
def folder(tmp_path, monkeypatch, own_registry):
    """A package of method files beside the suite's own."""
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "other.py").write_text(HEAD + OTHER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    monkeypatch.setattr(catalogue, "_left_out", {})
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "methods"]:
        del sys.modules[name]


def imported(folder):
    """The models that its files register, and of files that are left out why."""
    catalogue.import_method_files(folder)
    found = [model for model in catalogue.known_so_far() if model.module.startswith("methods.")]
    return found, list(catalogue._left_out.values())


@pytest.mark.parametrize(("head", "line"), FORMS.values(), ids=FORMS)
def test_a_model_may_be_registered_in_any_form_that_python_takes(folder, head, line):
    (folder / "new.py").write_text(f"{head}\n\n{line}\ndef new(task): ...\n")
    (new, other), left_out = imported(folder)
    at = next(
        number for number, text in enumerate((head + "\n\n" + line).split("\n"), 1) if "register(" in text or "@method" in text
    )
    assert (new.name, new.tasks, new.origin, new.module) == ("new", ("*",), f"methods/new.py:{at}", "methods.new")
    assert other.name == "other" and not left_out


def test_what_is_called_register_elsewhere_is_none(folder):
    text = "import atexit\nfrom functools import singledispatch as one\n@atexit.register\ndef end(): ...\n@one\ndef f(x): ...\n"
    (folder / "new.py").write_text(
        text + "@f.register(int)\ndef g(x): ...\nclass C:\n    def register(self): self.register()\n"
    )
    assert [model.name for model in imported(folder)[0]] == ["other"]


@pytest.mark.parametrize(("content", "line", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_line_with_its_place_and_the_others_are_imported(folder, content, line, said):
    (folder / "new.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    (other,), (error,) = imported(folder)
    assert error.startswith(("methods/new.py:", "model name 'new")) and f"methods/new.py:{line}" in error
    assert said in error and "\n" not in error
    assert other.name == "other"


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_what_a_broken_file_imported_is_named_as_if_it_were_alone(folder, order):
    above, below = (folder / f"{name}.py" for name in order)
    above.write_text(f"from methods import {below.stem}\n" + HEAD + OTHER.replace("other", "above"))
    below.write_text(HEAD + OTHER.replace("other", "below") + "1 / 0\n")
    (other,), errors = imported(folder)
    assert other.name == "other"
    assert {error.partition(": ")[0] for error in errors} == {f"methods/{above.name}:1", f"methods/{below.name}:4"}
    assert all("ZeroDivisionError" in error for error in errors)


def test_a_file_in_another_encoding_that_says_so_is_read(folder):
    text = f'# -*- coding: latin-1 -*-\n{HEAD}@register("new", tasks="*", paper="Müller")\ndef new(task): ...\n'
    (folder / "new.py").write_bytes(text.encode("latin-1"))
    (folder / "marked.py").write_bytes(b"\xef\xbb\xbf" + (HEAD + OTHER.replace("other", "marked")).encode())
    found, _ = imported(folder)
    assert [model.name for model in found] == ["marked", "new", "other"]
    assert found[1].paper == "Müller"


def test_what_is_no_method_file_is_passed_over(folder):
    (folder / "._cnn.py").write_bytes(b"\x00\x05\x16\x07Mac OS X \xb0\xff@register(")
    (folder / ".#cnn.py").symlink_to("nobody@nowhere.1:2")  # an editor's lock
    (folder / "cnn.py~").write_text("x = (")
    (folder / "#cnn.py#").write_text("x = (")
    (folder / "folder.py").mkdir()
    assert [model.name for model in imported(folder)[0]] == ["other"]


def test_files_that_cannot_be_read_or_imported_are_named(folder):
    (folder / "gone.py").symlink_to(folder / "nowhere")
    (folder / "cnn copy.py").write_text(HEAD + OTHER)
    _, (copy, gone) = imported(folder)
    assert copy.startswith("methods/cnn copy.py: Python imports no file of this name")
    assert gone == "methods/gone.py:1: No such file or directory; left out"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """This package alone, to be changed."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(Path(models.__file__).parent, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def ask(checkout, text, code):
    new = checkout / "models" / "new.py"
    new.write_text(text)
    try:
        call = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(checkout)!r}); import models; {code}"]
        return subprocess.run(call, capture_output=True, text=True, check=False, cwd=checkout)
    finally:
        new.unlink()


LIST = "print(*models.list_models()); models.infos()"


def test_a_broken_file_is_left_out_and_asking_for_its_model_says_so(checkout):
    whole = ask(checkout, "", LIST)
    assert whole.returncode == 0 and whole.stderr == "" and "sesn-scalar" in whole.stdout
    done = ask(checkout, HEAD + "def new(task:\n", LIST)
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    assert done.stderr == "models: models/new.py:2: SyntaxError: '(' was never closed; left out\n"
    asked = ask(checkout, HEAD + "def new(task:\n", "models.info('new', 'stl10+')")
    assert "needs --plugin FILE; left out: models/new.py:2" in asked.stderr.splitlines()[-1]
    quiet = ask(checkout, HEAD + "def new(task:\n", "print(models.canonical_name('cnn', 'mnist-scale-28'))")
    assert (quiet.stdout, quiet.stderr) == ("cnn\n", "")  # a worker that runs another model has nothing to say of it


def test_of_two_files_with_one_name_neither_wins(checkout):
    done = ask(checkout, 'from .registry import register\n@register("cnn", tasks="mnist-scale-*")\ndef cnn(task): ...\n', LIST)
    assert "cnn" not in done.stdout.split() and "sesn-scalar" in done.stdout.split()
    (line,) = done.stderr.splitlines()
    assert "'cnn' is registered twice for mnist-scale-28: models/cnn.py:" in line and "models/new.py:2" in line


def test_the_first_question_may_be_interrupted_and_the_next_is_answered_in_full(checkout):
    whole = ask(checkout, "", LIST).stdout.split()
    once = "import os, signal\nif os.environ.setdefault('TIMES', '0') == '0':\n    os.environ['TIMES'] = '1'\n"
    once += "    os.kill(os.getpid(), signal.SIGINT)\n"
    code = f"\ntry: models.infos()\nexcept KeyboardInterrupt: print('interrupted')\n{LIST}"
    done = ask(checkout, HEAD + OTHER.replace("other", "new") + once, code)
    assert (done.stdout.split(), done.stderr) == (["interrupted", *sorted([*whole, "new"])], "")
