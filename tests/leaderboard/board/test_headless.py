"""Figures are drawn whatever backend the environment or a matplotlibrc asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DRAW = """
import sys
from pathlib import Path
from leaderboard.board.charts.chart import Chart, Mark
from leaderboard.board.charts.figures import draw
from leaderboard.timings.plot import ratio_figure
from leaderboard.timings.tables import build_tables
from leaderboard.reading.folders import read_measurements
from leaderboard.records.timing import Timing
mark = Mark("a", 1.0, 2.0, "a")
Path("a.svg").write_bytes(b"".join(draw(Chart("c", "lines", "t", "x", "y", (mark, Mark("b", 2.0, 1.0, "b"))))))
Path("a.png").write_bytes(ratio_figure(build_tables(read_measurements(Path(sys.argv[1]), Timing)[0][:8])))
"""


@pytest.mark.parametrize("backend", [None, "module://matplotlib_inline.backend_inline", "nonsense"])
def test_any_backend_draws_the_same(tmp_path: Path, backend: str | None) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.dpi: 33\n" if backend else "")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)
    environment |= {"MPLBACKEND": backend} if backend else {}
    command = [sys.executable, "-c", DRAW, str(ROOT / "records" / "timings" / "mnist-scale-28")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    drawn.add((tmp_path / "a.svg").read_bytes())
    assert len(drawn) == 1


drawn: set[bytes] = set()
