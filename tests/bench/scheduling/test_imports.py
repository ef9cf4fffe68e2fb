"""The command's own process schedules and writes records; what trains and measures is loaded in the processes that do."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import bench.scheduling

FOLDER = Path(bench.scheduling.__file__).parent
NEEDED = {"ray": "ray", "slurm": "submitit"}  # packages that may not be installed
CODE = "import sys; sys.modules.update({'bench.training': None, 'bench.measure': None}); import "


def test_scheduling_imports_neither_training_nor_measuring():
    files = [file.relative_to(FOLDER) for file in FOLDER.rglob("*.py") if file.stem not in ("__init__", "child")]
    found = [file for file in files if file.stem not in NEEDED or find_spec(NEEDED[file.stem])]
    assert len(found) > 10
    modules = ", ".join(".".join(("bench.scheduling", *file.with_suffix("").parts)) for file in found)
    done = subprocess.run([sys.executable, "-c", CODE + modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
