"""Every command, and every file, that the documentation shows is tried in a folder as a reader would have it.

What takes a second is run as it stands, and what trains with --dry-run; one run is done for real, on the documentation's own
network and protocol. What measures is run on these by `pytest -m slow`, and else parsed by the command line itself, as are the
verbs in NOT_RUN, each for a reason.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from command_line import ROOT, bench, call
from record_factory import make_record
from typer.main import get_command

from bench.cli.main import app
from bench.plan import load_plan, match_models, match_tasks
from bench.protocol import load_protocol
from leaderboard.records.store import write_record

GROUP = get_command(app)
GENERATED = [ROOT / "docs" / "timings.md", ROOT / "LEADERBOARD.md"]  # hundreds of commands of a few forms: parsed
WRITTEN = [ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md"), *sorted({*(ROOT / "docs").glob("*.md")} - {*GENERATED})]
PROGRAM = re.compile(r"(?:bench|equiscale|make|pip|python3? -m (?:bench|pip)|python3? benchmarks/\S+)(?= |$)")
NOT_RUN = {
    "check": "about a minute: tests/bench/checking",
    "data": "fetches what is not there: tests/datasets",
    "pack": "hundreds of megabytes of packages: tests/bench/packing",
    "sprint": "is for a GPU, and uses it to the end: tests/bench/sprint",
    "submit": "writes into the checkout that it is run in: tests/bench/submit",
}
MEASURING = {"equivariance", "profile", "scale-sweep", "time", "verify"}  # half a minute each, in processes of their own
NAMES = {"model", "task", "protocol", "plan"}  # parameters that name something of the suite
ALONE = {"cite", "doctor", "leaderboard", "list", "timings"}  # commands without another word; the other verbs alone are names
RUN_ID = "dss-vector_mnist-scale-28_r1_short_541109bb8a"  # of a committed record
PLACEHOLDERS = {"RUN_ID": RUN_ID, "RUN": RUN_ID, "MODEL": "cnn", "DIR": "there", "PACK": "there", "R": "results", "NAME": "me"}


def parts(page):
    """The blocks of code of a page as (language, text), then its pieces of code within text as ("", text)."""
    text = page.read_text(encoding="utf-8")
    fences = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    yield from fences.findall(text)
    text = fences.sub("", text)
    blocks = re.compile(r"^(?: {4}.*\n|\n(?= {4}))+", re.MULTILINE)
    yield from (("block", re.sub("^ {4}", "", block, flags=re.MULTILINE)) for block in blocks.findall(text))
    yield from (("", " ".join(code.split())) for code in re.findall(r"`([^`]+)`", blocks.sub("", text)))


def commands(page):
    """What a page says to type, each once: without prompts and comments, alternatives apart."""
    found = {}
    for language, text in parts(page):
        for line in text.splitlines() if language in ("", "block", "bash", "sh", "console", "text") else ():
            for piece in re.split(r" && |; ", re.sub(r"(^|\s+)#\s.*", "", line.strip().removeprefix("$ "))):
                command = re.sub(r"^(\w+=\S+ +)+", "", piece.strip())  # variables set for it
                if PROGRAM.match(command):
                    found |= dict.fromkeys(alternatives(command))
    return list(found)


def alternatives(command):
    """'bench list models | tasks' -> 'bench list models', 'bench list tasks'; nothing else that is documented has a bar."""
    first, *others = command.split(" | ")
    return [first, *(f"{first.rpartition(' ')[0]} {other}" for other in others)]


def in_pages(pages, chosen):
    """Parameters for `pytest.mark.parametrize`: each command once, under the name of the first page that has it."""
    found = {command: page for page in reversed(pages) for command in commands(page) if chosen(command)}
    return [pytest.param(command, id=f"{page.name}: {command}") for command, page in found.items()]


def is_bench(command):
    return re.match(r"(bench|equiscale|python3? -m bench) ", command) is not None


def words_of(command):
    """The words after `bench`, with real things in the place of placeholders."""
    words = shlex.split(re.sub(r"^python3? -m ", "", command))[1:]
    words = [PLACEHOLDERS.get(word.strip("…[]."), word) for word in words]
    left = [word for word in words if re.fullmatch(r"[A-Z_]{2,}…?", word)]
    assert not left, f"{left} in {command!r}: say in PLACEHOLDERS what stands for it"
    return words


def parsed(words):
    """The verb, and its parameters as it would get them. Raises whatever the command line raises where it takes none such."""
    context = GROUP.make_context("bench", list(words))
    verb, command, rest = GROUP.resolve_command(context, list(words))
    return verb, command.make_context(verb, rest, parent=context).params


# ---------------------------------------------------------------------------------------------------------- the reader's folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The committed records, a run of the reader's own, and the files that the documentation shows."""
    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "records", place / "records")
    write_record(place / "results", make_record())
    for name, text in shown_files():
        (place / name).write_text(text)
    if not (place / "my_net.py").exists():
        assert bench(place, "new", "my-net").returncode == 0
    return place


@pytest.fixture
def reader(folder, monkeypatch, no_plugins):
    """To be in that folder."""
    monkeypatch.chdir(folder)
    return folder


def shown_files():
    """(name, content) of each block whose first line is `# NAME`; a protocol without a name is mine.yaml."""
    for page in WRITTEN:
        for language, text in parts(page):
            name = re.match(r"# ([\w-]+\.(?:py|yaml))\n", text)
            if language == "yaml" or (language == "python" and name):
                yield (name[1] if name else "mine.yaml"), text


# ----------------------------------------------------------------------------------------------------------------- what is run


@pytest.mark.parametrize("command", in_pages(WRITTEN, is_bench))
def test_command(reader, capsys, command):
    words = words_of(command)
    if len(words) == 1 and words[0] not in ALONE:
        assert words[0] in GROUP.commands
        return
    verb, given = parsed(words)
    names_exist(given)
    if verb in NOT_RUN or verb in MEASURING or given.get("stale"):  # --stale reads the code of every commit
        return
    code, _, errors = call(capsys, *cheap(verb, given, words))
    missing = f"pip install 'equiscale[{given.get('engine')}]'"  # ray or submitit, where they are not installed
    assert code == 0 or missing in errors[0], errors


def cheap(verb, given, words):
    """The same command as a dry run, of few records (figures of all of them take half a minute), or into a new file."""
    if verb == "run" and not given["dry_run"]:
        return [*words, "--dry-run"]
    if verb == "leaderboard" and given["folder"]:
        return [*words, "--records", "results", "--output", "small.md"]
    if verb == "new":  # which writes over no file
        return [*words, "--output", f"new{len(list(Path.cwd().iterdir()))}.py"]
    return words


@pytest.fixture(scope="module")
def run_id(folder):
    """A run of the network and the protocol that the documentation shows, done as it says."""
    command = next(c for page in WRITTEN for c in commands(page) if is_bench(c) and "--protocol tiny.yaml" in c)
    done = bench(folder, *words_of(command), "--results", "tiny", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    (record,) = (folder / "tiny").rglob("*_tiny_*.json")
    return record.stem


def test_the_network_and_the_protocol_that_are_shown_make_a_run(run_id):
    assert run_id.startswith("my-net_mnist-scale-28_r0_tiny_")


SMALL = {  # what is measured, of the run above or of its network; the documented options are kept but for these
    "equivariance": ["--model", "my-net", "--task", "mnist-scale-28", "--images", "2", "--records", "measured"],
    "profile": ["my-net", "--batch-size", "4", "--device", "cpu"],
    "scale-sweep": ["RUN_ID", "--images", "20", "--results", "tiny"],
    "time": ["--model", "my-net", "--task", "mnist-scale-28", "--device", "cpu", "--repeats", "1", "--batch-size", "4"],
    "verify": ["RUN_ID", "--records", "tiny"],
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", SMALL)
def test_what_measures(folder, run_id, verb):
    words = [run_id if word == "RUN_ID" else word for word in SMALL[verb]]
    done = bench(folder, verb, *words, "--plugin", "my_net.py", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr


def names_exist(given):
    """Models, tasks, protocols and plans that are named are there. Raises what the suite raises where one is not."""
    named = {key: [value] if isinstance(value, str) else value or [] for key, value in given.items() if key in NAMES}
    tasks = match_tasks(named.get("task") or ["*"])
    models = [model for model in named.get("model", ()) if not model.startswith("my-net") and not model.endswith(".py")]
    assert not models or match_models(models, tasks)
    for protocol in named.get("protocol", ()):
        assert protocol.endswith(".yaml") or load_protocol(protocol)
    for plan in named.get("plan", ()):
        assert load_plan(plan)


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_commands_of_generated_pages(page):
    found = [command for command in commands(page) if is_bench(command)]
    assert len(found) > 5
    for command in found:
        names_exist(parsed(words_of(command))[1])


@pytest.mark.parametrize("command", in_pages(WRITTEN, lambda command: command.startswith("make ")))
def test_make(command):
    done = subprocess.run(["make", "-n", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", in_pages(WRITTEN, lambda command: "benchmarks/" in command))
def test_programs_that_measure_the_suite(command):
    """They take minutes: that the file is there, and takes these options."""
    _, program, *options = shlex.split(command)
    text = (ROOT / program).read_text(encoding="utf-8")
    assert [option for option in options if option.startswith("--") and f'"{option}"' not in text] == []


@pytest.mark.parametrize("command", in_pages(WRITTEN, lambda command: re.match(r"pip|python3? -m pip", command)))
def test_what_is_installed_is_ours_and_has_these_extras(command):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(rf"{project['name']}\[([\w,]+)\]", command):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert project["name"] in command or re.search(r" install (--target|-e|--editable)", command)


# ------------------------------------------------------------------------------------------------------- what is shown as files


def test_protocols_that_are_shown_load(tmp_path):
    shown = [text for page in WRITTEN for language, text in parts(page) if language == "yaml" and "recipes:" in text]
    assert len(shown) >= 2
    for text in shown:
        (tmp_path / "shown.yaml").write_text(text)
        assert load_protocol(str(tmp_path / "shown.yaml")).summary


def test_python_that_is_shown_compiles(tmp_path):
    shown = [(page.name, text) for page in WRITTEN for language, text in parts(page) if language == "python"]
    assert shown
    for name, text in shown:
        compile(text, name, "exec")


def test_every_verb_that_is_not_run_is_tried_elsewhere():
    assert set(SMALL) == MEASURING <= set(GROUP.commands)
    for verb, reason in NOT_RUN.items():
        assert verb in GROUP.commands and (ROOT / reason.rpartition(": ")[2]).exists(), verb
