"""A package that is missing or broken, or anything that nobody foresaw: each verb says it in one line and ends with 2."""

import os
import subprocess
import sys

import pytest
from command_line import ROOT, call

from bench.cli.catch_all import describe_error

NEED_TORCH = (
    "run --model cnn --task mnist-scale-28",
    "data --task mnist-scale-28 --realizations 0",
    "time --model cnn",
    "equivariance --model cnn --task mnist-scale-28",
    "scale-sweep RUN",
    "profile cnn",
    "verify RUN --records RECORDS",
    "sprint --budget 9m",
)
NEED_NONE = (
    "leaderboard --records RECORDS --output B.md --folder board",
    "compare cnn sesn-scalar --records RECORDS",
    "timings --records RECORDS --plot timings.png",
)
# Runs every verb in one process, for a start of Python is most of what a verb takes that fails.
EVERY_VERB = """
import sys
from bench.cli.main import main
for verb in sys.argv[1].split(";"):
    try:
        main(verb.split(" "))
    except SystemExit as ended:
        print("ENDED", ended.code, file=sys.stderr)
"""


MISSING = "raise ModuleNotFoundError(\"No module named '{0}'\", name='{0}')"


def every_verb(folder, verbs):
    run = next(p.stem for p in (ROOT / "records" / "paper").rglob("cnn_mnist-scale-28_r0_*.json"))
    words = ";".join(verbs).replace("RUN", run).replace("RECORDS", str(ROOT / "records"))
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", EVERY_VERB, words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr + done.stdout
    said = done.stderr.split("ENDED ")
    assert len(said) == len(verbs) + 1, done.stderr
    # Each: what was said before the code, and the code.
    return {
        verb: (said[n].partition("\n")[2] if n else said[0], int(said[n + 1].split("\n")[0])) for n, verb in enumerate(verbs)
    }


BROKEN = {  # the package, what stands in its place, what the line says, and the verbs that say it
    "torch missing": ("torch", MISSING.format("torch"), "torch is not installed in this Python", NEED_TORCH),
    "torch without CUDA's libraries": (
        "torch",
        "raise OSError('libcudart.so.13: cannot open shared object file')",
        "torch cannot be imported here: OSError: libcudart",
        NEED_TORCH,
    ),
    "torch for another Python": ("torch", "from torch import _C", "cannot import name '_C'", NEED_TORCH),
    "numpy missing": ("numpy", MISSING.format("numpy"), "numpy is not installed in this Python", NEED_NONE),
    "numpy broken": (
        "numpy",
        "raise ImportError('\\n\\nIMPORTANT: PLEASE READ THIS\\n\\n' + 'for advice\\n' * 99)",
        "numpy cannot be imported here: ImportError: IMPORTANT",
        NEED_NONE,
    ),
    "a numpy of the user's": ("numpy", "", "numpy", NEED_NONE[:1]),
    "matplotlib missing": ("matplotlib", MISSING.format("matplotlib"), "matplotlib is not installed", NEED_NONE[2:]),
    "yaml missing": ("yaml", MISSING.format("yaml"), "pip install pyyaml", NEED_TORCH[:1]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_package_missing_or_broken_is_one_line(tmp_path, what):
    name, code, said, verbs = BROKEN[what]
    (tmp_path / "site" / name).mkdir(parents=True)
    (tmp_path / "site" / name / "__init__.py").write_text(code)
    for verb, (text, exit_code) in every_verb(tmp_path, verbs).items():
        assert (exit_code, text.count("\n")) == (2, 1), (verb, text)
        assert text.startswith("bench: ")
        assert said in text, (verb, text)


def raises(error):
    def verb(*_):
        raise error

    return verb


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), "bench: unexpected ValueError: two lines (tests/end_to_end/test_missing_pieces.py:"),
        (AssertionError(), "bench: unexpected AssertionError (tests/"),
        (MemoryError(), "bench: unexpected MemoryError (tests/"),
        (RecursionError("deep"), "bench: unexpected RecursionError: deep (tests/"),
        (SystemExit(3), "bench: unexpected exit: 3 (tests/"),
        (SystemExit(0), "bench: unexpected exit: 0 (tests/"),
        (Unspeakable(), "bench: unexpected Unspeakable (tests/"),
        (ValueError("x" * 5000), "x… (tests/"),
        (ValueError("red \x1b[31m \u202e text"), "bench: unexpected ValueError: red [31m text (tests/"),
        (ExceptionGroup("several", [ValueError("one")]), "bench: unexpected ExceptionGroup: several (1 sub-exception)"),
        (KeyError("x"), "unexpected KeyError: 'x' (tests/"),
    ],
)
def test_what_nobody_foresaw_is_one_line(monkeypatch, capsys, error, said):
    monkeypatch.delenv("BENCH_DEBUG", raising=False)
    monkeypatch.setattr("bench.cli.list._tasks", raises(error))
    code, _, (line,) = call(capsys, "list", "tasks")
    assert code == 2 and said in line
    assert line.endswith("; BENCH_DEBUG=1 shows the traceback")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_bench_debug_shows_the_traceback(monkeypatch, capsys, value, shown):
    monkeypatch.setenv("BENCH_DEBUG", value)
    monkeypatch.setattr("bench.cli.list._tasks", raises(ValueError("boom")))
    lines = call(capsys, "list", "tasks")[2]
    assert any("Traceback" in line for line in lines) is shown
    assert lines[-1].startswith("bench: unexpected ValueError: boom (")


def test_the_line_names_the_plugin_rather_than_the_library_below_it(tmp_path):
    (tmp_path / "my_net.py").write_text("import json\n\ndef build():\n    json.loads('{')\n")
    space = {"__name__": "my_net"}
    exec(compile((tmp_path / "my_net.py").read_text(), str(tmp_path / "my_net.py"), "exec"), space)
    with pytest.raises(ValueError) as raised:
        space["build"]()
    assert f"({tmp_path / 'my_net.py'}:4)" in describe_error(raised.value)
