"""What the board says beyond one number: right sums, nothing that should not stand there, the same bytes every time."""

from pathlib import Path

import pytest
from measurement_factory import make_equivariance, make_scale_sweep
from record_factory import changed, make_record

from leaderboard.board.markdown import build_markdown
from leaderboard.board.scale_tables import render
from leaderboard.reading.collection import collect
from leaderboard.records.measurement import write_measurement
from leaderboard.records.schema import Record
from leaderboard.records.store import write_record


def with_bins(wrong: tuple[int, int], realization: int = 0, **values: object) -> Record:
    """A record of 1000 test digits, 400 of them small."""
    record = make_record(realization=realization, wrong=sum(wrong), protocol="short", **values)  # type: ignore[arg-type]
    bins = [(0.3, 0.4, 400, wrong[0]), (0.4, 0.5, 600, wrong[1])]
    metrics = record.model_dump()["metrics"]
    metrics["error_by_scale"] = [dict(zip(("low", "high", "count", "wrong"), b, strict=True)) for b in bins]
    return changed(record, metrics=metrics)


def board(folder: Path, *items: object) -> str:
    for item in items:
        (write_record if isinstance(item, Record) else write_measurement)(folder, item)  # type: ignore[operator]
    return "\n".join(render(collect(folder).without_altered()))


def test_errors_by_digit_size_are_pooled_over_a_models_runs(tmp_path: Path) -> None:
    text = board(tmp_path, with_bins((40, 6)), with_bins((20, 12), realization=1))
    assert "| Model | n | 0.3–0.4 | 0.4–0.5 |" in text
    assert "| `cnn` | 2 | 7.50 | 1.50 |" in text  # 60 of 800, 18 of 1200


def test_generalisation_is_averaged_over_runs(tmp_path: Path) -> None:
    other = make_scale_sweep(realization=1, own_sizes_wrong=50)
    text = board(tmp_path, make_scale_sweep(), other)
    assert "| Model | n | Digits | Own sizes | 0.2 | 0.5 | 2 |" in text
    assert "| `cnn` | 2 | 1,000 | 4.00 | 60.00 | 4.00 | 70.00 |" in text


def test_equivariance_keeps_directions_states_and_settings_apart(tmp_path: Path) -> None:
    trained = make_equivariance(run_id="r")
    elsewhere = make_equivariance(model="sicnn", canvas=96, interior=48)
    text = board(tmp_path, make_equivariance(), make_equivariance(name="again", weights_seed=1), trained, elsewhere)
    assert text.count("<summary>Equivariance error at initialisation</summary>") == 2
    assert "<summary>Equivariance error after training under `short`</summary>" in text
    assert "| Model | n | layer 1 | layer 2 | logits |" in text
    assert "| `cnn` | 2 | 0.200 / 0.200 | 0.400 / 0.400 | 0.600 / 0.500 |" in text
    assert "| `cnn` | 1 | 0.200 / 0.200 | 0.400 / 0.400 | 0.600 / 0.500 |" in text
    assert "| `cnn` | 2 | 0 | 1e-13 | 0.250 |" in text
    assert "canvas of 96 pixels" in text and "canvas of 112 pixels" in text


@pytest.mark.parametrize("kept_off", [{"smoke": True}, {"recipe": {"network": {"depth": 10}}}])
def test_smoke_tests_and_altered_networks_are_left_out(tmp_path: Path, kept_off: dict[str, object]) -> None:
    run = with_bins((1, 1), **kept_off)
    measured = make_scale_sweep(name=run.run_id, run_id=run.run_id)
    assert board(tmp_path, run, measured, make_equivariance(run_id=run.run_id)) == ""


def test_the_board_holds_the_section_and_names_what_is_unreadable(tmp_path: Path) -> None:
    write_record(tmp_path, with_bins((4, 6)))
    path = write_measurement(tmp_path, make_equivariance())
    good = build_markdown(tmp_path)
    assert good.count("## Beyond one number") == 1 and good == build_markdown(tmp_path)
    path.write_text(path.read_text().replace('"interior": 56', '"interior": "wide"'))
    bad = build_markdown(tmp_path)
    assert "Equivariance error" not in bad
    assert "equivariance/mnist-scale-28/cnn/initialisation-seed0.json" in bad and "interior" in bad


def test_nothing_to_show(tmp_path: Path) -> None:
    assert board(tmp_path) == ""
