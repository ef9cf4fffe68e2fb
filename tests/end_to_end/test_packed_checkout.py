"""A pack on its way: made here, unpacked in another folder, run there with an empty cache, no environment and no checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import PLUGIN, TINY

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_packed_runs_elsewhere_and_names_its_commit(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    there = tmp_path / "there"
    call = [sys.executable, "-m", "bench", "pack", str(there), "--realizations", "0"]
    packed = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    if "could not be had" in packed.stderr:
        pytest.skip(packed.stderr)
    assert packed.returncode == 0, packed.stderr
    assert "sh there/setup.sh && cd there && python3 -m bench sprint" in packed.stdout
    assert sum(path.stat().st_size for path in there.rglob("*") if path.is_file()) < 12e6

    subprocess.run(["sh", there / "setup.sh"], check=True, capture_output=True)
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "my_net.py").write_text(PLUGIN)
    asked = ["--model", "tiny-net", "--task", "mnist-scale-28", "--protocol", "../tiny.yaml", "--plugin", "../my_net.py"]
    bare = {"PATH": os.environ["PATH"], "BENCH_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "bench", "run", *asked, "--device", "cpu"]
    done = subprocess.run(run, cwd=there, env=bare, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"unpacking realization(s) 0 from {there / 'data'}" in done.stdout
    (path,) = (there / "results" / "tiny").rglob("*.json")
    software = json.loads(path.read_text())["software"]
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(["git", "-C", ROOT, "diff", "--quiet", "HEAD"], check=False).returncode
    assert (software["git_commit"], software["git_dirty"]) == (head, bool(changed))
