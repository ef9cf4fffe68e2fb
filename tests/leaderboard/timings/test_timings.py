"""Synthetic timings of several devices: ratios, means, ranks, and what is never compared in silence."""

import subprocess
import sys
from datetime import timedelta
from math import prod
from pathlib import Path
from typing import Any

import pytest
from record_factory import START, make_record
from timing_factory import CPU, GPU, a_timing, two_devices

from leaderboard.errors import RecordError
from leaderboard.reading.folders import read_measurements
from leaderboard.records.measurement import write_measurement
from leaderboard.records.timing import Quartiles, Timing, quartiles
from leaderboard.timings.markdown import timings_markdown
from leaderboard.timings.plot import ratio_figure, shows
from leaderboard.timings.tables import PLAIN, baseline_of, build_tables, column_of

WITHOUT_TORCH = """
import sys


class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Blocked())
from bench.cli.main import main

main(sys.argv[1:])
"""


def test_fractions_and_quartiles() -> None:
    timing = a_timing(ms=100)
    assert timing.matmul_fraction == pytest.approx(10**10 / 0.1 / 1e14)
    assert timing.copy_fraction == pytest.approx(10**9 / 0.1 / 1e13)
    assert quartiles([3.0]) == Quartiles(3.0, 3.0, 3.0, 1)
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == Quartiles(2.0, 3.0, 4.0, 5)


def test_the_background_load_keeps_its_name_in_files(tmp_path: Path) -> None:
    timing = a_timing(others_share=0.25)
    assert timing == Timing.model_validate(timing.model_dump()) and timing.background_load == 0.25
    path = write_measurement(tmp_path, timing)
    assert '"others_share": 0.25' in path.read_text() and "background_load" not in path.read_text()
    assert read_measurements(tmp_path, Timing) == ([timing], [])


def test_ratios_means_speeds_and_ranks() -> None:
    (table,) = build_tables(two_devices())
    fast, slow = table.columns
    assert [column.device for column in table.columns] == ["Fast GPU", "Slow CPU, 2 threads"]
    assert table.models == ["cnn", "a", "b"]
    assert [table.cells[model, fast].ratio for model in table.models] == pytest.approx([1, 8, 4])
    assert [table.cells[model, slow].rank for model in table.models] == [1, 2, 3]
    assert table.mean_ratio(fast) == pytest.approx((8 * 4) ** 0.5)
    assert table.mean_ratio(slow) == pytest.approx((2 * 4) ** 0.5)
    speed = table.speed(fast, slow)
    assert speed is not None and speed.models == ("cnn", "a", "b")
    assert speed.factor == pytest.approx(prod([100, 25, 100]) ** (1 / 3))
    assert [table.places_gained(model, fast, slow) for model in table.models] == [0, -1, 1]


def test_a_device_without_the_plain_cnn_has_no_ratio() -> None:
    (table,) = build_tables([a_timing("a"), a_timing("b")])
    assert {cell.ratio for cell in table.cells.values()} == {None}
    assert table.mean_ratio(table.columns[0]) is None
    with pytest.raises(RecordError, match="nothing to draw"):
        ratio_figure([table])


def test_means_are_over_the_models_that_all_devices_have() -> None:
    (table,) = build_tables([timing for timing in two_devices() if (timing.model, timing.hardware.device) != ("b", "cpu")])
    fast, slow = table.columns
    assert table.shared == ("a",)
    assert (table.mean_ratio(fast), table.mean_ratio(slow)) == pytest.approx((8, 2))
    assert table.places_gained("b", fast, slow) is None


def test_versions_of_torch_are_columns_of_their_own() -> None:
    other = make_record(software={"torch": "9.9"}).software
    (table,) = build_tables([*two_devices(), a_timing("a", software=other, name="other")])
    assert len(table.columns) == 3
    text = timings_markdown([*two_devices(), a_timing("a", software=other, name="other")])
    assert "Slow CPU, 2 threads, torch 9.9: ms" in text


def test_the_latest_counts() -> None:
    later = a_timing(ms=50, name="later", measured=START + timedelta(hours=1))
    (table,) = build_tables([later, a_timing(ms=100)])
    assert table.cells[PLAIN, table.columns[0]].timing == later


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"batch_size": 4}])
def test_other_settings_are_not_compared_without_saying_so(changes: dict[str, Any]) -> None:
    odd = [a_timing(model, GPU, 1, name=f"odd-{model}", **changes) for model in ("cnn", "a")]
    timings = [timing for timing in two_devices() if timing.hardware.device == "cpu"] + odd
    tables = build_tables(timings)
    assert [len(table.columns) for table in tables] == [1, 1]
    text = timings_markdown(timings, baseline="slow")
    assert "are not compared with each other" in text
    assert "No comparison with Slow CPU, 2 threads: it has no timing here" in text
    (together,) = build_tables(timings, mixed=True)
    assert len(together.columns) == 2
    mixed = timings_markdown(timings, mixed=True)
    assert "**Different precisions or batch sizes stand side by side" in mixed
    assert f"batch {changes.get('batch_size', 128)}, {changes.get('precision', 'float32')}): ms" in mixed


def test_tables_as_text() -> None:
    text = timings_markdown(two_devices(), baseline="slow cpu")
    assert "## mnist-scale-28, batch 128, float32" in text
    assert "| `b` | 4 (3.82–4.22) | 4.00 | 2 of 3 ↑1 | 400 (382–422) | 4.00 | 3 of 3 |" in text
    means = "geometric mean of 2 models besides the CNN that all columns have, of the same code"
    assert f"| {means} | – | 5.66 | – | – | 2.83 | – |" in text
    speed = "speed, Slow CPU, 2 threads = 1 (geometric mean of the models that ran the same code on both)"
    assert f"| {speed} | 63.00 × (3 models) |" in text
    assert text == timings_markdown(list(reversed(two_devices())), baseline="slow cpu")


def test_tainted_timings_are_kept_and_never_compared() -> None:
    tainted = a_timing("a", GPU, 1, tainted=["after: 1 other processes on the card"], measured=START + timedelta(hours=1))
    text = timings_markdown([*two_devices(), tainted])
    assert "| `a` | 8 (" in text
    assert "1 tainted timing, in no table" in text
    why = "batch 128, float32 | 1 (0.955–1.06) | 2026-01-02 | 01234567 | after: 1 other processes on the card"
    assert f"| `a` | Fast GPU | {why} |" in text
    assert "no timings yet that are not tainted" in timings_markdown([tainted])


def test_a_baseline_that_is_none_or_several() -> None:
    with pytest.raises(RecordError, match="none of the devices: Fast GPU; Slow CPU"):
        timings_markdown(two_devices(), baseline="TPU")
    with pytest.raises(RecordError, match="matches several"):
        timings_markdown(two_devices(), baseline="u")
    with pytest.raises(RecordError, match="none is untainted"):
        timings_markdown([], baseline="u")
    (table,) = build_tables(two_devices())
    assert baseline_of(table, "Fast GPU") == column_of(a_timing("a", GPU))


def test_names_from_elsewhere_cannot_break_the_table() -> None:
    text = timings_markdown([a_timing(hardware=CPU | {"name": "x | <b>\ny"}, name="odd")])
    assert "<b>" not in text and "x &#124; &#60;b&#62; y" in text


def test_merging_is_copying_files_and_needs_no_torch(tmp_path: Path) -> None:
    for timing in two_devices():
        write_measurement(tmp_path / timing.hardware.device, timing)
    write_measurement(tmp_path / "cpu", a_timing("cnn", GPU, 1))  # one that was copied in already
    assert len(read_measurements(tmp_path / "cuda", Timing)[0]) == 3
    words = ["timings", "--records", tmp_path / "cpu", "--records", tmp_path / "cuda", "--baseline", "slow"]
    words += ["--output", tmp_path / "T.md", "--plot", tmp_path / "t.png", "--plot", tmp_path / "t.pdf"]
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, words)], cwd=root, check=True)
    assert (tmp_path / "T.md").read_text() == timings_markdown(two_devices(), baseline="slow", figure="t.png")
    assert all(shows((tmp_path / name).read_bytes(), build_tables(two_devices())) for name in ("t.png", "t.pdf"))
