"""What charts show and leave out: real numbers, no chart that says nothing, names that lie on nothing."""

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from measurement_factory import make_equivariance
from record_factory import make_record

from leaderboard.board.charts.chart import Chart
from leaderboard.board.charts.figures import WIDTH, draw
from leaderboard.board.charts.labels import beside, spread
from leaderboard.board.charts.measurement_charts import chart_groups
from leaderboard.board.charts.table_charts import charts_of
from leaderboard.board.files import write_board
from leaderboard.board.tables import build_sections
from leaderboard.reading.collection import collect
from leaderboard.records.measurement import write_measurement
from leaderboard.records.schema import Record


def charts(records: list[Record]) -> dict[str, Chart]:
    (section,) = build_sections(collect(records).runs)
    return {chart.name: chart for chart in charts_of(section.tables[0], section.protocol)}


def test_ours_stands_above_the_published_number() -> None:
    records = [make_record("cnn", realization=r, wrong=wrong) for r, wrong in enumerate((25, 27))]
    records += [make_record("sesn-scalar", realization=r, wrong=wrong) for r, wrong in enumerate((20, 22))]
    records += [make_record("my-net", wrong=40)]
    chart = charts(records)["errors"]
    assert chart.subtitle == "mnist-scale-28, protocol paper"
    assert chart.models == ["sesn-scalar", "cnn", "my-net"]
    assert chart.asides == (("n", ("2", "2", "1")), ("rank", ("1", "1", "–")))
    ours = {mark.model: mark for mark in chart.marks if mark.group.startswith("here")}
    theirs = {mark.model: mark for mark in chart.marks if mark.group.startswith("published")}
    assert {model: mark.x for model, mark in ours.items()} == {"sesn-scalar": 2.1, "cnn": 2.6, "my-net": 4.0}
    assert ours["cnn"].low is not None and ours["cnn"].low < 2.6 < (ours["cnn"].high or 0)
    assert (ours["my-net"].low, ours["my-net"].high, ours["my-net"].group) == (None, None, "here: mean of one run")
    assert {model: (mark.x, mark.low, mark.high) for model, mark in theirs.items()} == {
        "sesn-scalar": (2.1, 2.0, 2.2), "cnn": (2.56, 2.52, 2.6),
    }  # fmt: skip
    assert theirs["cnn"].group.endswith("quoted from memory") and theirs["sesn-scalar"].group == "published: mean ± std"
    assert all(ours[model].y < row < theirs[model].y for row, model in enumerate(chart.models[:2]))


def test_another_recipe_has_no_published_numbers_beside_it() -> None:
    chart = charts([make_record(name, protocol="short") for name in ("cnn", "sicnn", "ss-cnn")])["errors"]
    assert {mark.group for mark in chart.marks} == {"here: mean of one run"}
    assert [mark.y for mark in chart.marks] == [0, 1, 2]


def test_of_two_models_there_is_no_chart(tmp_path: Path) -> None:
    assert charts([make_record("cnn"), make_record("sicnn")]) == {}
    for model in ("cnn", "sicnn"):
        write_measurement(tmp_path, make_equivariance(model))
    (group,) = chart_groups(collect(tmp_path))
    assert not any(chart.worth_drawing for chart in group.charts)
    write_board(tmp_path, tmp_path / "B.md", folder=tmp_path / "board")
    assert not (tmp_path / "board" / "figures").exists()
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    assert all(f"<li>{mark.tooltip}</li>" in page for chart in group.charts for mark in chart.marks), "the numbers stand there"
    write_measurement(tmp_path, make_equivariance("dss-scalar"))
    assert [chart.models for group in chart_groups(collect(tmp_path)) for chart in group.charts] == [
        ["cnn", "dss-scalar", "sicnn"]
    ] * 2


def test_the_front_is_the_pareto_front() -> None:
    models = {"a": (10, 100), "b": (20, 50), "c": (20, 70), "d": (30, 60), "e": (5, 200)}
    records = [make_record(name, wrong=wrong, parameters=size) for name, (wrong, size) in models.items()]
    chart = charts(records)["error-parameters"]
    assert {mark.model for mark in chart.marks if mark.group == "front"} == {"a", "b", "e"}


@pytest.mark.parametrize(("largest", "drawn"), [(1090, False), (1110, True)])
def test_parameters_of_one_budget_are_no_axis(largest: int, drawn: bool) -> None:
    records = [make_record(name, parameters=size) for name, size in (("a", 1000), ("b", 1001), ("c", largest))]
    assert ("error-parameters" in charts(records)) == drawn


def test_times_that_do_not_compare_are_not_in_one_chart() -> None:
    records = [make_record("a"), make_record("b", execution={"evaluation_batch": 2000}), make_record("g")]
    records += [make_record("c", hardware={"name": "Other"}), make_record("d", hardware={"other_processes": 1})]
    records += [make_record("e", execution={"jobs": 2}), make_record("f", execution={"cuda_graph": True})]
    chart = charts(records)["error-time"]
    assert chart.models == ["a", "b", "g"]
    assert "Test GPU" in chart.x_label


def test_names_at_lines_are_apart_in_order_and_near() -> None:
    assert spread([1.0, 5.0, 9.0], 1.0, 0.0, 10.0) == [1.0, 5.0, 9.0]
    assert spread([5.0, 5.0, 5.0], 1.0, 0.0, 10.0) == [4.0, 5.0, 6.0]
    assert spread([0.0, 0.1], 1.0, 0.0, 10.0) == [0.0, 1.0]
    assert spread([10.0, 9.9], 1.0, 0.0, 10.0) == [10.0, 9.0]
    places = spread([3.0, 3.2, 3.1, 8.0, 7.9], 0.5, 0.0, 10.0)
    assert all(b - a >= 0.5 - 1e-9 for a, b in pairwise(sorted(places)))
    assert sorted(range(5), key=lambda i: places[i]) == [0, 2, 1, 4, 3]


def test_names_at_points_lie_on_nothing() -> None:
    points = [(10.0 + 3 * i, 50.0) for i in range(6)] + [(95.0, 50.0), (50.0, 97.0)]
    corners = beside(points, [20.0] * 8, 6.0, (0.0, 0.0, 100.0, 100.0))
    boxes = [(x, y, x + 20, y + 6) for x, y in corners]
    for a, b in combinations(boxes, 2):
        assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])
    assert all(x >= 0 and y >= 0 and right <= 100 and top <= 100 for x, y, right, top in boxes)


def test_a_figure_names_every_model_at_its_line_and_has_no_legend() -> None:
    records = [make_record(f"net-{n}", realization=r, wrong=20 + n) for n in range(10) for r in range(2)]
    found = charts(records)
    for name, role in (("error-scale", "label"), ("error-time", "label"), ("errors", "name")):
        svg = draw(found[name])[0].decode()
        assert all(f'class="{role}" data-model="net-{n}"' in svg for n in range(10)), name
        assert f'width="{72 * WIDTH:g}pt"' in svg, "drawn wider than a phone can show"
