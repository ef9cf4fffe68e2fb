"""The board's files, the README's block, and a board without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from record_factory import make_record

from leaderboard import RecordError
from leaderboard.board.files import check_board, write_board
from leaderboard.board.front.readme import top_rows
from leaderboard.board.markdown import build_markdown
from leaderboard.records.store import write_record

README = "# Title\r\n\nbefore\n<!-- board -->\nold\n<!-- /board -->\nafter, no newline at the end"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_record(tmp_path / "records", make_record())
    return tmp_path / "records"


def test_write_then_check(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "docs" / "LEADERBOARD.md"
    assert not check_board(root, out)
    write_board(root, out)
    assert out.read_bytes() == build_markdown(root).encode()
    assert check_board(root, out)
    write_record(root, make_record("sicnn"))
    assert not check_board(root, out)
    write_board(root, out)
    assert check_board(root, out)
    out.write_bytes(out.read_bytes().replace(b"\n", b"\r\n"))
    assert not check_board(root, out)


def test_the_readme_block_alone_is_replaced(root: Path, tmp_path: Path) -> None:
    out, readme = tmp_path / "LEADERBOARD.md", tmp_path / "README.md"
    readme.write_bytes(README.encode())
    write_board(root, out)
    assert not check_board(root, out, readme)
    write_board(root, out, readme)
    assert check_board(root, out, readme)
    text = readme.read_bytes().decode()
    assert text == README.replace("\nold\n", f"\n{top_rows(root)}")
    write_board(root, out, readme)
    assert readme.read_bytes().decode() == text


@pytest.mark.parametrize(
    "text",
    [
        "no markers",
        "<!-- board -->",
        "<!-- /board -->\n<!-- board -->",
        "<!-- board --><!-- board --><!-- /board -->",
        README + "<!-- /board -->",
        "<!-- /board -->" + README,
        None,
    ],
)
def test_a_readme_without_its_markers_is_an_error_before_anything_is_written(
    root: Path, tmp_path: Path, text: str | None
) -> None:
    out, readme = tmp_path / "LEADERBOARD.md", tmp_path / "README.md"
    if text is not None:
        readme.write_text(text)
    for call in (write_board, check_board):
        with pytest.raises(RecordError, match=r"README\.md") as error:
            call(root, out, readme)
        assert "\n" not in str(error.value)
    assert not out.exists()


def test_no_records_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        write_board(tmp_path / "nowhere", tmp_path / "out.md")
    with pytest.raises(RecordError, match="is a folder"):
        write_board(tmp_path, tmp_path)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import leaderboard
assert "pandas" not in sys.modules, "import leaderboard must stay light"
from pathlib import Path
from leaderboard.board.files import check_board, write_board
root, out = Path(sys.argv[1]), Path(sys.argv[2])
write_board(root, out)
assert check_board(root, out)
assert "pandas" not in sys.modules
print(len(leaderboard.load_records(root)))
"""


def test_no_torch_is_needed_and_the_environment_changes_no_byte(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "LEADERBOARD.md"
    environment = {"LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", WITHOUT_TORCH, str(root), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    assert done.stdout == "1\n"
    assert out.read_bytes() == build_markdown(root).encode()
