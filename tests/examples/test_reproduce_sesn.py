"""The notebook of the reproduction study: it runs from end to end, and what is committed of it is fit to be read anywhere."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import leaderboard
from leaderboard.board.published import load_published

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "reproduce_sesn.ipynb"
TINY = """
PROTOCOL = {
    "name": "tiny", "summary": "to see it run", "extends": "paper", "smoke": True, "realizations": [0],
    "recipes": {"mnist-scale-*": {"epochs": 1, "data": {"train_images": 64, "validation_images": 32, "test_images": 64}}},
}
IMAGES = 2
"""


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(folder, monkeypatch, settings="", records=ROOT / "records"):
    """The notebook after a run in a folder of its own, other `settings` behind those in its cell for them."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = read()
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source += f"{settings}\nRECORDS = {str(records)!r}\n"
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(notebook, kind):
    """By the text of its cell, every output of this kind."""
    return [
        (cell.source, output["data"][kind] if kind != "stream" else output["text"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == kind or kind in output.get("data", {})
    ]


def table(notebook, word):
    """The text of the table that the cell with this word in it shows."""
    (text,) = [text for source, text in outputs(notebook, "text/html") if word in source]
    return " ".join(re.sub("<[^>]*>", " ", text).split())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("notebook")
        return folder, executed(folder, monkeypatch, TINY)


def test_it_runs_and_leaves_records_and_weights(tiny):
    folder, notebook = tiny
    runs = leaderboard.load_records(folder / "results")
    assert sorted(runs.model) == ["cnn", "sesn-vector"] and set(runs.status) == {"ok"}
    assert len(list((folder / "results" / "weights").glob("*.safetensors"))) == 2
    assert len(outputs(notebook, "image/png")) == 4
    (said,) = [text for _, text in outputs(notebook, "stream") if "answered wrongly" in text]
    wrong, count, recorded = map(int, re.findall(r"\d+", said))
    assert (wrong, count) == (recorded, 64)


def test_the_raw_runs_give_the_numbers_of_the_published_list(tiny):
    """What was published of the report, apart and together: of the same runs."""
    shown = table(tiny[1], "RAW = {")
    reproduced = [one for one in load_published() if one.kind == "reproduction-split"]
    assert len(reproduced) > 8
    for one in reproduced:
        assert f"{one.error_mean:.2f} ± {one.error_std:.2f}" in shown, one
    printed = [one for one in load_published() if one.kind == "reproduction-as-published"]
    assert len(printed) == 8 and all(f"{one.error_mean:.2f} ± {one.error_std:.2f}" in shown for one in printed)
    rows = re.findall(r"sesn-(?:scalar|vector) \w+ (\d+) .*? ([\d.]+) ± ([\d.]+) ([\d.]+) ± ([\d.]+)(?= sesn|$)", shown)
    assert len(rows) == 8
    for count, *numbers in rows:  # the claim under the table
        mean, std, printed_mean, printed_std = map(float, numbers)
        close = abs(mean - printed_mean) < 0.0101 and abs(std - printed_std) < 0.0101
        assert close == (int(count) >= 11), rows


def test_the_table_has_our_own_numbers(tiny):
    runs = leaderboard.load_records(ROOT / "records")
    ours = runs[(runs.protocol == "paper") & (runs.task == "mnist-scale-28") & (runs.model == "sesn-vector")].test_error
    assert f"{ours.mean():.2f} ± {ours.std():.2f} (n = {len(ours)})" in table(tiny[1], "def measured")


def test_what_is_committed_reads_anywhere():
    notebook = read()
    nbformat.validate(notebook)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 500_000
    assert not re.search(r"/(?:tmp|home|root|work|Users|var)/|ipykernel_\d| at 0x", text)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code"), "commit it as it was run, in order"
    assert len(outputs(notebook, "image/png")) == 4
    assert not [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]


@pytest.mark.slow
def test_with_its_own_settings(tmp_path, monkeypatch):
    notebook = executed(tmp_path, monkeypatch, records=tmp_path / "none")
    shown = table(notebook, '"test error %": f')
    assert all(float(error) < 6 for error in re.findall(r"short ([\d.]+) ", shown)) and shown.count("short") == 2
    assert any("clone the suite's repository" in text for _, text in outputs(notebook, "stream"))
