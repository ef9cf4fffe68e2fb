"""The examples in docs/python.md, one after the other, as the cells of a notebook."""

import linecache
import re
import sys
from pathlib import Path

import pytest
import torch
from tiny import TINY
from tiny_runs import CPU

from bench.training.run import execute
from bench.training.trainer import Watch
from leaderboard.records.store import write_record

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def done_here(run, device, results, progress):
    record = execute(run, CPU, results, Watch())
    write_record(results, record)
    return record


def test_every_example_does_what_it_says(own_registry, tmp_path, monkeypatch):
    """With a tiny protocol in place of `short`, and trained in this process: how it is done in another, test_api.py tries."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.notebook.api.do", done_here)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    Path("tiny.yaml").write_text(TINY)
    assert len(CELLS) == 7 and '"short"' in "".join(CELLS)
    space = {"__name__": "__main__"}
    for number, cell in enumerate(CELLS):
        name, text = f"<cell {number}>", cell.replace('"short"', '"tiny.yaml"')
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), space)
        if number == 0:
            assert space["images"].shape == (50_000, 1, 28, 28) and space["images"].dtype == torch.uint8
            assert space["labels"].shape == (50_000,) and space["answers"].shape == (100,)
            assert space["answers"].dtype == space["labels"].dtype == torch.int64
        if number == 1:
            assert len(space["result"].curves["validation_error"]) == 3 and not space["result"].network.training
        if number == 2:
            assert space["result"].record.protocol.name == "one-epoch"
    assert space["result"].record.model == "my-net" and isinstance(space["network"], torch.nn.Module)
    assert set(space["runs"].model) == {"cnn", "my-net"} and len(space["runs"]) == 3


@pytest.mark.parametrize("name", re.findall(r"`(bench|models|datasets|leaderboard)\.(\w+)", PAGE), ids=".".join)
def test_what_the_page_names_exists(name):
    package, attribute = name
    module = __import__(package)
    assert hasattr(module, attribute) or __import__(f"{package}.{attribute}")
