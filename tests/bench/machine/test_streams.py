"""What is printed where it cannot be shown or written: the process goes on and ends with its own exit code."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
START = "import sys; from bench.machine.streams import never_fail; never_fail(); never_fail()\n"
SIGNS = "1 × 2 ± 3 − 4 – 5 … café ↑ 网"
GOES_ON = (
    START + "for _ in range(20000): print('a line of some length that fills a pipe')\nsys.stderr.write('x' * 9); sys.exit(7)"
)


def python(code, *words, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT} | options
    options["env"] = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("environment", {})
    return subprocess.Popen([sys.executable, *words, "-c", code], **options)


@pytest.mark.parametrize(
    ("environment", "encoding", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii", "1 x 2 +- 3 - 4 - 5 ... cafe ^ ?"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "1 × 2 ± 3 - 4 - 5 ... café ^ ?"),
        ({"PYTHONIOENCODING": "cp1252"}, "cp1252", "1 × 2 ± 3 - 4 – 5 … café ^ ?"),
        ({"PYTHONIOENCODING": "ascii:strict"}, "ascii", "1 x 2 +- 3 - 4 - 5 ... cafe ^ ?"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii", "1 x 2 +- 3 - 4 - 5 ... cafe ^ ?"),
        ({"PYTHONUTF8": "1"}, "utf-8", SIGNS),
    ],
)
def test_signs_that_the_output_lacks_are_replaced(environment, encoding, shown):
    code = START + f"print({SIGNS!a}); print({SIGNS!a}, file=sys.stderr); print('a\\udcffb')"
    out, error = python(code, environment=environment).communicate()
    assert out.decode(encoding) == f"{shown}\na?b\n"
    assert error.decode(encoding) == f"{shown}\n"


@pytest.mark.parametrize("words", [(), ("-u",)])
def test_a_pipe_that_nobody_reads_any_more(words):
    process = python(GOES_ON, *words)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b"x" * 9
    assert process.wait(timeout=60) == 7


@pytest.mark.parametrize("words", [(), ("-u",)])
def test_a_full_disk_is_said_once(words):
    with Path("/dev/full").open("wb") as full:
        process = python(GOES_ON, *words, stdout=full)
        assert process.stderr.read() == b"bench: some of the output is lost: No space left on device\n" + b"x" * 9
        assert process.wait(timeout=60) == 7
        process = python(
            START + "print('x'); sys.stderr.write('x' * 10**6); print(1, file=sys.stderr); sys.exit(7)", stderr=full
        )
        assert process.communicate()[0] == b"x\n"
        assert process.returncode == 7


@pytest.mark.parametrize("closed", ["1", "2", "0", "1 2", "0 1 2"])
def test_outputs_that_were_closed(closed, tmp_path):
    code = (
        START + "from pathlib import Path; print('out'); print('error', file=sys.stderr); Path(sys.argv[1]).write_text('mine')"
    )
    redirections = " ".join(f"{number}>&-" for number in closed.split())
    call = f'exec "{sys.executable}" -c "$0" "$1" {redirections}'
    done = subprocess.run(
        ["bash", "-c", call, code, str(tmp_path / "file")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == ("" if "1" in closed else "out\n")
    assert done.stderr == ("" if "2" in closed else "error\n")
    assert (tmp_path / "file").read_text() == "mine"  # and nothing of what was printed


def test_a_terminal_that_hangs_up():
    near, far = pty.openpty()
    process = python(
        START + "sys.stdin.read()\nfor _ in range(100): print('x'); sys.stderr.flush()\nsys.exit(7)",
        stdin=subprocess.PIPE,
        stdout=far,
        stderr=far,
    )
    os.close(far)
    os.close(near)
    process.communicate()
    assert process.returncode == 7


def test_a_pipe_that_does_not_block_gets_everything():
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    process = python(START + "print('x' * 1_000_000)", stdout=writes)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        assert len(pipe.read()) == 1_000_001
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def test_children_and_libraries_lose_their_output_quietly_too():
    code = START + (
        "import os, subprocess\n"
        "sys.stdin.read(); print('x', flush=True); os.write(1, b'x'); sys.exit(subprocess.call(['echo', 'y']))"
    )
    process = python(code, stdin=subprocess.PIPE)
    process.stdout.close()
    _, error = process.communicate()
    assert (process.returncode, error) == (0, b"")


def test_streams_that_are_not_the_processs_own_stay():
    code = START.replace("never_fail(); never_fail()", "import io; sys.stdout = kept = io.StringIO(); never_fail()")
    assert python(code + "assert sys.stdout is kept").wait() == 0


@pytest.mark.parametrize("columns", ["0", "20", "x", "-3"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bars_on_any_terminal(columns, encoding):
    """The bars of a run, on a terminal of an odd width that cannot show their blocks."""
    code = START + (
        "from types import SimpleNamespace as N\nfrom bench.scheduling.display import Display\n"
        "recipe = N(epochs=2, batch_size=100, data=N(train_images=500))\n"
        "run = N(model='cnn', task='mnist-scale-28', realization=0, recipe=recipe)\n"
        "shown = Display(1); shown.begun(0, 'ÿ', run, 3.0); shown.step(0, run, 1, 2); shown.say('5 × 网'); shown.close()"
    )
    near, far = pty.openpty()
    process = python(
        code, environment={"COLUMNS": columns, "PYTHONIOENCODING": encoding, "TERM": "dumb"}, stdout=far, stderr=far
    )
    os.close(far)
    shown = b""
    while True:
        try:
            shown += os.read(near, 65536)
        except OSError:
            break
    os.close(near)
    assert process.wait(timeout=60) == 0, shown
    assert b"Error" not in shown
    assert ("5 x ?" if encoding == "ascii" else "5 × 网").encode() in shown
