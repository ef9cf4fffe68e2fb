"""The command's own process schedules and writes records; what trains and measures is loaded in the processes that do."""

import subprocess
import sys
from pathlib import Path

import bench.scheduling

FOLDER = Path(bench.scheduling.__file__).parent
NEEDS = {"ray": "ray", "slurm": "submitit"}  # packages that may not be installed
CODE = """
import importlib, sys
from importlib.util import find_spec
for blocked in ("bench.training", "bench.measure"):
    sys.modules[blocked] = None
for name in sys.argv[1:]:
    module, _, needs = name.partition(":")
    if not needs or find_spec(needs):
        importlib.import_module(module)
"""


def test_scheduling_imports_neither_training_nor_measuring():
    files = [file for file in FOLDER.rglob("*.py") if file.stem not in ("__init__", "child")]
    assert len(files) > 10
    names = [".".join(("bench.scheduling", *file.relative_to(FOLDER).with_suffix("").parts)) for file in files]
    words = [f"{name}:{NEEDS.get(file.stem, '')}" for name, file in zip(names, files, strict=True)]
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
