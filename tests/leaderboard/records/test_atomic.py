"""Output goes where the user points: through links, into devices and pipes, with a file's permissions; or one line says why."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leaderboard import RecordError
from leaderboard.records.atomic import check_target, create_atomically, is_stream, write_atomically

ROOT = Path(__file__).resolve().parents[3]


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "board.md").write_text("old")
    link, chain = tmp_path / "link.md", tmp_path / "chain.md"
    link.symlink_to("site/board.md")
    chain.symlink_to(link)
    with (site / "board.md").open() as reader:
        for path in (link, chain):
            write_atomically(path, path.name.encode())
            assert (site / "board.md").read_text() == path.name
            assert link.is_symlink() and chain.is_symlink()
        assert reader.read() == "old", "a reader must see either the whole of the old or of the new"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["board.md", "chain.md", "link.md", "site"]


@pytest.mark.parametrize("write", [write_atomically, create_atomically])
def test_what_a_link_leads_to_may_have_yet_to_be_made(tmp_path: Path, write: object) -> None:
    (tmp_path / "file.md").symlink_to("new/folder/board.md")
    (tmp_path / "folder").symlink_to("disk")
    for path in (tmp_path / "file.md", tmp_path / "folder" / "deep" / "board.md"):
        write(path, b"x")  # type: ignore[operator]
    assert (tmp_path / "new" / "folder" / "board.md").read_bytes() == b"x"
    assert (tmp_path / "disk" / "deep" / "board.md").read_bytes() == b"x"
    assert (tmp_path / "file.md").is_symlink() and (tmp_path / "folder").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "board.md"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"board")
    reader.join(timeout=10)
    assert got == [b"board"] and is_stream(pipe)
    device = Path(os.devnull).stat().st_rdev
    write_atomically(Path(os.devnull), b"board")
    (tmp_path / "nowhere").symlink_to(os.devnull)
    write_atomically(tmp_path / "nowhere", b"board")
    assert Path(os.devnull).stat().st_rdev == device and (tmp_path / "nowhere").is_symlink()


@pytest.mark.parametrize("where", ["/dev/stdout", "/dev/fd/1"])
def test_the_own_output_is_gone_on_with(tmp_path: Path, where: str) -> None:
    """Also where it is a file, which must neither be replaced under the process nor written to from its start again."""
    head = "from leaderboard.records.atomic import *"
    code = f"{head}; print('before'); write_atomically(Path({where!r}), b'board\\n'); print('after')"
    out = tmp_path / "out.txt"
    with out.open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, cwd=ROOT, check=True)
    assert out.read_text() == "before\nboard\nafter\n"


LONG = "x" * 300
NOT_FILES = ["", ".", "..", "/", "a-folder", "a-folder/..", "a-file/x.md", LONG, f"{LONG}/x.md", "a\0b", "loop", "/dev/full"]


@pytest.mark.parametrize("name", NOT_FILES)
def test_where_no_file_can_be_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordError) as error:
        write_atomically(Path(name), b"x")
    assert "\n" not in str(error.value) and len(str(error.value)) > 20
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "a-file").read_text() == "kept"


def test_a_folder_is_none_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_target(tmp_path, folder=True)
    check_target(tmp_path / "new" / "deeper", folder=True)
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(RecordError, match=r"folder|directory"):
            check_target(path, folder=True)


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".json")
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"
