"""What ran other code is never compared in silence: in a column, between devices, in means, in JSON."""

import json
from datetime import timedelta
from typing import Any

import pytest
from record_factory import START, make_record
from timing_factory import CPU, GPU, MS, a_timing, two_devices

from leaderboard.records.timing import Timing
from leaderboard.timings.as_json import timings_json
from leaderboard.timings.markdown import timings_markdown
from leaderboard.timings.plot import ratio_figure, shows
from leaderboard.timings.tables import PLAIN, build_tables

OLD, NEW = "a" * 40, "b" * 40


def of_commit(timing: Timing, commit: str | None, *, dirty: bool | None = False, days: int = 0, **changes: Any) -> Timing:
    software = timing.software.model_copy(update={"git_commit": commit, "git_dirty": dirty})
    name = f"{timing.name}-{(commit or 'none')[:4]}-{days}"
    measured = timing.measured + timedelta(days=days)
    return Timing.model_validate(timing.model_dump() | {"software": software, "name": name, "measured": measured} | changes)


def of_code(timing: Timing, model: str, plain: str, **changes: Any) -> Timing:
    return of_commit(timing, NEW, dirty=True, code={"model": model, "plain": plain}, **changes)


def row(text: str, model: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| `{model}` |"))


def test_a_ratio_is_to_the_plain_network_of_the_same_code() -> None:
    older = [of_commit(a_timing(model, CPU, ms), OLD) for model, ms in (("cnn", 100), ("a", 300))]
    timings = [*older, of_commit(a_timing("cnn", CPU, 50), NEW, days=1), of_commit(a_timing("b", CPU, 400), NEW, days=1)]
    (table,) = build_tables(timings)
    (column,) = table.columns
    ratios = {model: table.cells[model, column].ratio for model in table.models}
    assert ratios == pytest.approx({"cnn": 1, "a": 3, "b": 8})
    assert not any(cell.other_code for cell in table.cells.values())
    assert [(cell.rank, cell.of) for cell in (table.cells[model, column] for model in ("cnn", "a", "b"))] == [
        (1, 2),
        (2, 2),
        (2, 2),
    ]
    text = timings_markdown(timings)
    assert "| 300 (286–317)¹ | 3.00 | 2 of 2 |" in row(text, "a") and "| 50 (47.7–52.8)² | 1.00 | 1 of 2 |" in row(text, "cnn")
    assert "The times are of 2 versions of the layers: ¹ aaaaaaaa (2026-01-02); ² bbbbbbbb (2026-01-03)." in text
    assert text == timings_markdown(timings[::-1])


def test_a_ratio_of_other_code_says_so_in_its_cell_and_is_in_no_mean() -> None:
    timings = [of_commit(a_timing("cnn"), OLD), of_commit(a_timing("a", ms=300), NEW), of_commit(a_timing("b", ms=200), OLD)]
    (table,) = build_tables(timings)
    (column,) = table.columns
    assert table.cells["a", column].other_code and table.shared == ("b",) and table.mean_ratio(column) == pytest.approx(2)
    text = timings_markdown(timings)
    assert "| 3.00 (other code) | – |" in row(text, "a") and "other code" not in row(text, "b")
    cell = timings_json(timings)["tables"][0]["rows"][1]["cells"][0]
    assert (cell["ratio"], cell["other_code"], cell["of"]) == (pytest.approx(3), True, 1)
    assert ratio_figure([table]) != ratio_figure(build_tables([a_timing("cnn"), a_timing("a", ms=300), a_timing("b", ms=200)]))


def test_devices_that_ran_other_code_have_no_speed_and_no_mean() -> None:
    timings = [of_commit(timing, OLD if timing.hardware.device == "cpu" else NEW) for timing in two_devices()]
    (table,) = build_tables(timings)
    fast, slow = table.columns
    assert table.speed(fast, slow) is None and table.mean_ratio(fast) is None and table.shared == ()
    assert {table.places_gained(model, fast, slow) for model in table.models} == {None}
    text = timings_markdown(timings, baseline="slow")
    assert "**No speed of Fast GPU against Slow CPU, 2 threads: no model was timed with the same code on both.**" in text
    assert not any(mark in text for mark in ("| speed,", "geometric mean", "↑"))
    assert [column["speed"] for column in timings_json(timings, baseline="slow")["tables"][0]["columns"]] == [None, 1]


def test_a_speed_is_over_the_models_that_ran_the_same_code_on_both() -> None:
    timings = [
        of_commit(timing, NEW if (timing.model, timing.hardware.device) == ("b", "cpu") else OLD) for timing in two_devices()
    ]
    (table,) = build_tables(timings)
    fast, slow = table.columns
    speed = table.speed(fast, slow)
    assert speed is not None and speed.models == ("cnn", "a") and speed.factor == pytest.approx((100 * 25) ** 0.5)
    assert table.shared == ("a",)
    # An older timing of the same code serves, and the newer of other code does not.
    (table,) = build_tables([*timings, of_commit(a_timing("cnn", CPU, 1000), NEW, days=3)])
    assert table.speed(fast, slow) == speed and table.cells[PLAIN, slow].timing.step == pytest.approx(1)


def test_recorded_code_says_more_than_the_commit() -> None:
    """Uncommitted changes or not: the hashes decide, the model's between devices and the plain network's within one."""
    timings = [of_code(timing, f"code of {timing.model}", "code of cnn") for timing in two_devices()]
    (table,) = build_tables(timings)
    assert table.speed(*table.columns).models == ("cnn", "a", "b") and table.shared == ("a", "b") and len(table.versions) == 1  # type: ignore[union-attr]
    changed = [of_code(t, "new", "code of cnn") if (t.model, t.hardware.device) == ("a", "cpu") else t for t in timings]
    (table,) = build_tables(changed)
    assert table.speed(*table.columns).models == ("cnn", "b") and not any(c.other_code for c in table.cells.values())  # type: ignore[union-attr]


@pytest.mark.parametrize(("commit", "dirty"), [(None, None), (OLD, True), (OLD, None)])
def test_unknown_code_is_like_no_other(commit: str | None, dirty: bool | None) -> None:
    timings = [of_commit(timing, commit, dirty=dirty) for timing in two_devices()]
    (table,) = build_tables(timings)
    assert table.speed(*table.columns) is None
    assert [cell.other_code for (model, _), cell in table.cells.items() if model != PLAIN] == [True] * 4
    assert ("no commit" if commit is None else "aaaaaaaa+") in timings_markdown(timings)


def test_many_commits_of_one_version_are_counted() -> None:
    timings = [
        of_code(a_timing(f"m{i}"), f"m{i}", "same").model_copy(update={"measured": START + timedelta(i)}) for i in range(5)
    ]
    commits = [str(i) * 40 for i in range(5)]
    timings = [
        timing.model_copy(update={"software": timing.software.model_copy(update={"git_commit": commit})})
        for timing, commit in zip(timings, commits, strict=True)
    ]
    text = timings_markdown([*timings, of_code(a_timing("z"), "z", "other", days=9)])
    assert "¹ 00000000+, 11111111+, 22222222+ and 2 more (2026-01-02); ² bbbbbbbb+ (2026-01-11)" in text


def test_json_of_timings_and_tables() -> None:
    tainted = a_timing("c", GPU, 7, tainted=["heat"], inference_seconds=[0.0])
    found = json.loads(json.dumps(timings_json([*two_devices(), tainted], baseline="slow")))
    assert set(found) == {"timings", "tables"} and len(found["timings"]) == 7
    first, last = found["timings"][0], found["timings"][-1]
    assert first["step_ms"]["median"] == pytest.approx(100) and first["step_ms"]["low"] < 100 < first["step_ms"]["high"]
    assert (first["device"], first["kind"], first["torch"], first["n"], first["taints"]) == (
        "Slow CPU, 2 threads", "cpu", "2.11.0", 3, [],
    )  # fmt: skip
    assert last["taints"] == ["heat", "inference: a sample of 0 s"]
    (table,) = found["tables"]
    assert [column["device"] for column in table["columns"]] == ["Fast GPU", "Slow CPU, 2 threads"]
    assert table["baseline"] == "Slow CPU, 2 threads" and table["shared"] == ["a", "b"]
    assert table["columns"][0]["speed"] == pytest.approx(63.0, abs=0.01) and table["columns"][0]["speed_models"] == [
        "cnn",
        "a",
        "b",
    ]
    assert [each["model"] for each in table["rows"]] == ["cnn", "a", "b"]  # the tainted one is in none
    cell = table["rows"][2]["cells"][0]
    assert (cell["rank"], cell["of"], cell["places_gained"], cell["other_code"]) == (2, 3, 1, False)
    assert cell["ratio"] == pytest.approx(MS["Fast GPU"]["b"]) and cell["step_ms"] == pytest.approx(4)


def test_a_model_that_a_device_lacks_is_null() -> None:
    (table,) = timings_json([timing for timing in two_devices() if (timing.model, timing.hardware.device) != ("b", "cpu")])[
        "tables"
    ]
    assert table["rows"][2]["cells"][1] is None


def test_a_figure_tells_whether_it_shows_these_timings() -> None:
    drawn = ratio_figure(build_tables(two_devices()), ".svg")
    assert shows(drawn, build_tables(two_devices()))
    assert not shows(drawn, build_tables([*two_devices(), a_timing("d", CPU, 900)]))
    software = make_record(software={"git_commit": OLD}).software
    assert not shows(
        drawn, build_tables([t.model_copy(update={"software": software}) if t.model == "a" else t for t in two_devices()])
    )
