"""The house stays as it is drawn (docs/architecture.md): what imports what, how large the rooms are, and that what hangs on its
walls is true: the committed boards are what the records give, and what the documentation names exists."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import datasets
from leaderboard.board.files import check_board
from leaderboard.board.front import readme
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing
from leaderboard.timings.markdown import timings_markdown
from leaderboard.timings.plot import shows
from leaderboard.timings.tables import build_tables
from models.registry import registration

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bench", "models", "datasets", "leaderboard")
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}
DOCUMENTS = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LEADERBOARD.md")),
]
NOT_BROUGHT_UP_TO_DATE = ROOT / "docs" / "notes"  # files are named there as they were called then


def room(module: str) -> str:
    """The folder that a module lies in, with dots."""
    return ".".join(FILES[module].parent.relative_to(ROOT).parts)


@cache
def imported(module: str, *, at_once: bool = False) -> frozenset[str]:
    """The modules of the house that a module imports; `at_once`: only those that it needs to be imported itself.

    What is imported for type checkers alone is none.
    """

    def names(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield child.module
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                yield from names(ast.Module(child.orelse, []))
            elif not (at_once and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
                yield from names(child)

    found = frozenset(names(ast.parse(FILES[module].read_text(encoding="utf-8")))) & FILES.keys() - {module}
    return frozenset(name for name in found if FILES[name].stat().st_size)  # an empty __init__.py is no more than a folder


# --------------------------------------------------------------------------------------------------------------- the arrows

GROUND_FLOOR = ("models", "datasets", "leaderboard")
# The files of bench/ itself: plan, record, results, ...
HALL = tuple(module for module in FILES if room(module) == "bench" and module != "bench")
TABLES = ("leaderboard.board.tables", "leaderboard.board.markup")
MAY_IMPORT = {  # beside itself, and the packages that it lies in; a name stands for all that is below it
    "bench": ("bench.machine", *GROUND_FLOOR),
    "bench.checking": (*HALL, "bench.machine", "bench.measure", "bench.training", "bench.scheduling.estimate", *GROUND_FLOOR),
    "bench.cli": ("bench", *GROUND_FLOOR),
    "bench.doctor": (*HALL, "bench.machine", *GROUND_FLOOR),
    "bench.machine": ("bench.errors", *GROUND_FLOOR),
    "bench.measure": (*HALL, "bench.machine", "bench.step_code", "bench.training", "bench.scheduling.stop", *GROUND_FLOOR),
    "bench.notebook": (*HALL, "bench.machine", "bench.measure", "bench.scheduling", "bench.training", *GROUND_FLOOR),
    "bench.packing": (*HALL, "bench.machine", *GROUND_FLOOR),
    "bench.plans": (),  # files of YAML
    "bench.protocols": (),
    "bench.scheduling": (*HALL, "bench.machine", "bench.scheduling.engines", *GROUND_FLOOR),
    "bench.scheduling.engines": (*HALL, "bench.machine", "bench.scheduling", *GROUND_FLOOR),
    "bench.sprint": (*HALL, "bench.machine", "bench.packing", "bench.scheduling.stop", *GROUND_FLOOR),
    "bench.submit": (*HALL, "bench.machine", "bench.scheduling.stop", *GROUND_FLOOR),
    "bench.step_code": ("bench.errors", "bench.machine", *GROUND_FLOOR),
    "bench.training": (*HALL, "bench.machine", "bench.scheduling.stop", "bench.training.state", *GROUND_FLOOR),
    "bench.training.state": (*HALL, "bench.machine", "bench.training.step", *GROUND_FLOOR),
    "datasets": (),
    "leaderboard": ("leaderboard.reading",),
    "leaderboard.board": ("leaderboard",),
    "leaderboard.board.charts": ("leaderboard.errors", "leaderboard.records", "leaderboard.reading", *TABLES),
    "leaderboard.board.front": ("leaderboard",),
    "leaderboard.board.latex": ("leaderboard",),
    "leaderboard.board.page": ("leaderboard",),
    "leaderboard.reading": ("leaderboard.errors", "leaderboard.records"),
    "leaderboard.records": ("leaderboard.errors",),
    "leaderboard.stats": ("leaderboard.errors", "leaderboard.records"),
    "leaderboard.timings": ("leaderboard.errors", "leaderboard.records", *TABLES, "leaderboard.board.charts"),
    "models": ("models.layers", "models.registry"),
    "models.layers": ("models.errors", "models.layers.conv"),
    "models.layers.conv": ("models.layers",),
    "models.layers.cpu": ("models.layers",),
    "models.registry": ("models.errors",),
}
DOORS = {  # modules that may import more, and only once they are at work
    "bench": ("bench.notebook",),  # what is for notebooks, once it is asked for
    "bench.__main__": ("bench.cli.catch_all", "bench.cli.main", "bench.scheduling.stop"),  # the way in
    "bench.request": ("bench.scheduling.engines.options",),  # the options that say where
    "bench.scheduling.child": ("bench.training",),  # the process that trains
    "bench.scheduling.engines.trial_process": ("bench.training", "bench.measure"),  # a process that measures steps
    "bench.verify": ("bench.training",),  # a repeat is a run
}
# On a GPU none of it runs: these choose the processor's way, and a skeleton takes its dropout and normalisation there.
CONV = "models.layers.conv"
TO_CPU = {f"{CONV}.{name}" for name in ("algorithm", "resampled", "same")}
TO_CPU |= {"models.differential_invariants", "models.wide_resnet", "models.reference"}
SKELETONS = {
    "models.compared_layer",
    "models.errors",
    "models.mnist_net",
    "models.parameter_group",
    "models.wide_resnet",
    "models",
}


def parents(module: str) -> list[str]:
    """The packages that it lies in."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def below(module: str, names) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("name", sorted(set(map(room, FILES))))
def test_arrows(name):
    allowed = MAY_IMPORT[name]  # KeyError: a new room; say what it may import
    for module in (module for module in FILES if room(module) == name):
        own = {other for other in FILES if room(other) == name} | set(parents(module))
        others = {other for other in imported(module) - own if not below(other, allowed)}
        assert {other for other in others if not below(other, DOORS.get(module, ()))} == set(), module
        assert module == "bench.__main__" or not others & imported(module, at_once=True), module


def test_doors_are_used():
    assert all(any(below(name, [door]) for name in imported(module)) for module, doors in DOORS.items() for door in doors)


def test_who_uses_a_gpu_never_needs_the_processors_ways():
    users = {module for module in FILES if any(below(name, ["models.layers.cpu"]) for name in imported(module))}
    assert {module for module in users if room(module) != "models.layers.cpu"} == TO_CPU


BUILD_ON_SESN = {"models.disco", "models.sesn_basis", "models.sesn_learned"}  # as their papers do
OTHERS_LAYERS = {"models.cnn", "models.disco", "models.sesn", "models.sesn_basis"}  # these have no layers of their own


def test_a_method_file_imports_no_other():
    methods = {module for module in FILES if room(module) == "models"} - SKELETONS - {"models.reference"}
    found = {(module, name) for module in methods | SKELETONS for name in imported(module) & methods}
    assert found == {(module, "models.sesn") for module in BUILD_ON_SESN}
    assert imported("models.reference") >= methods - OTHERS_LAYERS


def test_leaderboard_never_imports_torch():
    for file in (ROOT / "leaderboard").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) torch\b", file.read_text(encoding="utf-8"), re.MULTILINE), file


def test_no_circles():
    """Nor by imports within functions; a module may import from the package that it lies in."""
    try:
        TopologicalSorter({module: imported(module) - set(parents(module)) for module in FILES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", ["models", "datasets", "leaderboard", "bench.cli.main"])
def test_packages_import_without_torch(package):
    code = f"import sys; sys.modules['torch'] = None; import {package}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---------------------------------------------------------------------------------------------------------------- the rooms

DOZEN = 12
LARGER = {
    "bench.cli": 30,  # a file per verb, and what verbs share
    "bench.scheduling": 13,  # the loop with its workers, and what is seen of them
    "models": 17,  # a file per method
    "datasets": 20,  # two data sets from many places, each with its files, under names that say so
}


def test_at_most_a_dozen_modules_a_folder():
    rooms = {}
    for module, file in FILES.items():
        if not file.name.startswith("__"):
            rooms.setdefault(room(module), []).append(module)
    assert {name: len(there) for name, there in rooms.items() if len(there) > LARGER.get(name, DOZEN)} == {}
    assert {name for name in LARGER if len(rooms[name]) <= DOZEN} == set()


# ---------------------------------------------------------------------------------------------------------------- the walls


def test_committed_board_is_what_the_committed_records_give():
    assert check_board(ROOT / "records", ROOT / "LEADERBOARD.md", ROOT / "README.md", ROOT / "docs" / "board")


def test_committed_timings_are_what_the_committed_records_give():
    timings, unreadable = read_measurements(ROOT / "records", Timing)
    assert not unreadable
    text = timings_markdown(timings, figure="timings.svg")
    assert text == (ROOT / "docs" / "timings.md").read_text(encoding="utf-8"), "type: make board"
    for name in ("timings.svg", "timings.png"):
        assert shows((ROOT / "docs" / name).read_bytes(), build_tables(timings)), f"docs/{name} is stale; type: make board"


def prose(document: Path) -> str:
    """Without blocks of code, fenced or indented."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """What headings are called in links, as GitHub makes it of them; and anchors that were given a name."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    named = set(re.findall(r'^<a id="([^"]+)"></a>$', prose(document), re.MULTILINE))
    return named | {re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", prose(document)):
        there = (document.parent / target).resolve() if target else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_that_are_named_exist(document):
    if document.is_relative_to(NOT_BROUGHT_UP_TO_DATE):
        return
    folders = "|".join([*PACKAGES, "tests", "benchmarks", "docs", "records"])
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", prose(document)):
        assert "NAME" in name or (ROOT / name).exists() or (ROOT / "tests" / name).exists(), name


def test_lines_on_the_core_path_are_right_within_a_tenth():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    said = {name: int(lines) for name, lines in re.findall(r"\| `([\w./]+)` \| (\d+) \|", page)}
    total = int(re.search(r"\| (\d+) lines in all \|", page.replace("*", ""))[1])
    counted = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in said}
    assert len(said) > 10
    assert {name: (said[name], lines) for name, lines in counted.items() if abs(said[name] - lines) > max(5, lines / 10)} == {}
    assert abs(total - sum(counted.values())) <= total / 10


def test_the_floors_know_the_same_tasks():
    """They never import one another, so each has a list of its own."""
    assert set(datasets.TASKS) == set(registration.TASKS) >= set(readme.MNIST_SCALE_TASKS)
    assert [task for task in datasets.TASKS if task.startswith("mnist-scale")] == list(readme.MNIST_SCALE_TASKS)
