"""New files and their board are put in place together, or all stays as it was."""

import os
from pathlib import Path

import pytest
from submissions import checkout, planned, sound

from bench.errors import BenchError
from bench.submit import staging
from bench.submit.board import check_root
from bench.submit.staging import copy_of, put_in_place

NEW = [Path("records/short/a.json"), Path("records/weights/b.safetensors")]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    root = checkout(tmp_path / "root", [sound(planned()[0])])
    (root / "docs" / "stale.svg").write_text("stale")
    return root


def snapshot(root):
    return {path.relative_to(root): path.is_file() and path.read_bytes() for path in root.rglob("*")}


def worked_on(copy):
    """As a board is: files are replaced whole, added and taken away."""
    for path in (*NEW, Path("docs/new.svg"), Path("LEADERBOARD.md")):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).unlink(missing_ok=True)
        (copy / path).write_text(f"new {path.name}")
    (copy / "docs" / "stale.svg").unlink()


@pytest.mark.parametrize("links", [True, False])
def test_all_is_put_in_place(root, links, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    before = snapshot(root)
    with copy_of(root, root) as copy:
        worked_on(copy)
        assert snapshot(root).items() >= before.items(), "nothing yet"
        changed = put_in_place(copy, root, NEW)
    assert changed == [Path("LEADERBOARD.md"), Path("docs/new.svg"), Path("docs/stale.svg")]
    text = {path: f"new {path.name}".encode() for path in (*NEW, Path("docs/new.svg"), Path("LEADERBOARD.md"))}
    folders = {path.parent: False for path in NEW}
    assert snapshot(root) == {path: it for path, it in before.items() if path.name != "stale.svg"} | text | folders


def test_links_in_circles_are_copied_as_links(root):
    (root / "records" / "loop").symlink_to(".")
    (root / "records" / "nowhere").symlink_to("gone")
    with copy_of(root, root) as copy:
        assert (copy / "records" / "loop").is_symlink() and (copy / "records" / "nowhere").is_symlink()


def refuse(*_, **__):
    raise OSError(1, "Operation not permitted")


@pytest.mark.parametrize("failing", range(5))
def test_a_failure_in_the_midst_leaves_all_as_it_was(root, failing, monkeypatch):
    before, count = snapshot(root), [0]

    def sometimes(function):
        def call(*arguments):
            count[0] += 1
            if count[0] == failing + 1:
                raise OSError(28, "No space left on device")
            return function(*arguments)

        return call

    with copy_of(root, root) as copy, pytest.raises(BenchError, match=r"nothing was submitted: .*No space left"):
        worked_on(copy)
        monkeypatch.setattr(staging, "create_atomically", sometimes(staging.create_atomically))
        monkeypatch.setattr(staging, "_move", sometimes(staging._move))
        put_in_place(copy, root, NEW)
    assert count == [failing + 1] and snapshot(root) == before


def test_what_came_there_meanwhile_is_never_written_over(root):
    with copy_of(root, root) as copy:
        worked_on(copy)
        (root / NEW[1].parent).mkdir()
        (root / NEW[1]).write_text("another's")
        before = {path: it for path, it in snapshot(root).items() if not str(path).startswith(".bench-submit")}
        with pytest.raises(BenchError, match="is there by now; submit again"):
            put_in_place(copy, root, NEW)
    assert snapshot(root) == before


def test_a_folder_that_cannot_be_written_is_one_line(root, monkeypatch):
    monkeypatch.setattr(staging.tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(BenchError, match=r"nothing was submitted: .*not permitted"), copy_of(root, root):
        pass


def test_a_place_that_is_no_checkout_is_one_line(tmp_path):
    with pytest.raises(BenchError, match=r"is no checkout .*\(there is no records, LEADERBOARD.md, README.md, docs\)"):
        check_root(tmp_path)
