"""The figure of the timings, by the boxes that matplotlib itself gives its texts and marks."""

from itertools import combinations
from pathlib import Path

import pytest
from timing_factory import a_timing, two_devices

from leaderboard.board.charts.headless import headless
from leaderboard.errors import RecordError
from leaderboard.records.timing import Timing
from leaderboard.timings import plot
from leaderboard.timings.plot import check_suffix, ratio_figure
from leaderboard.timings.tables import build_tables

DEVICES = [
    "NVIDIA H100 80GB HBM3",
    "NVIDIA GeForce RTX 4090 Laptop GPU",
    "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
    "EPYC",
]
MODELS = ["cnn", *(f"sesn-vector-model-{i}@config=long,pool=average" for i in range(8)), "ss-cnn"]


def crowded(tasks: int = 3) -> list[Timing]:
    """Nine models besides the plain one on four devices with nearly the same ratios, some faster than the CNN."""
    return [
        a_timing(
            model, {"device": "cuda", "name": device}, 100 * (1 if model == "cnn" else 0.6 + (i % 4) * 0.35 + 0.001 * j),
            task=f"mnist-scale-{task}", name=f"{model[:30].replace('@', '-')}-{i}-{j}-{task}",
        )
        for task in range(tasks)
        for i, model in enumerate(MODELS)
        for j, device in enumerate(DEVICES)
    ]  # fmt: skip


@pytest.mark.parametrize("timings", [crowded(), two_devices(), two_devices()[:2]], ids=["crowded", "two devices", "one"])
def test_nothing_overlaps_and_all_lies_within_the_figure(timings: list[Timing]) -> None:
    import matplotlib as mpl

    with headless(), mpl.rc_context(plot._STYLE):
        figure = plot.draw(plot._panels(build_tables(timings)))
        figure.canvas.draw()
        texts = [*figure.texts]
        for axes in figure.axes:
            texts += [*axes.texts, *axes.get_yticklabels(), axes.xaxis.label]
            texts += [
                label for label in axes.get_xticklabels() if axes.get_xlim()[0] <= label.get_position()[0] <= axes.get_xlim()[1]
            ]
        boxes = {f"{i} {text.get_text()}": text.get_window_extent() for i, text in enumerate(texts) if text.get_text()}
        marks = {
            f"mark {i} {j}": line.get_window_extent()
            for i, axes in enumerate(figure.axes)
            for j, line in enumerate(axes.lines)
            if line.get_marker() != "None"
        }
        width, height = figure.bbox.width, figure.bbox.height
    assert len(marks) == sum(timing.model != "cnn" for timing in timings)
    for (one, a), (other, b) in combinations((boxes | marks).items(), 2):
        assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0, (one, other)
    for name, box in boxes.items():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name


def test_every_device_is_named_where_it_comes_first_and_every_mark_has_its_number() -> None:
    panels = plot._panels(build_tables(crowded(1)))
    words = [mark.words for mark in panels[0].marks]
    assert len(words) == 9 * 4 and all(sum(device in text for text in words) == 1 for device in DEVICES)
    assert all(text.split()[0] == f"{mark.ratio:.2f}" for text, mark in zip(words, panels[0].marks, strict=True))
    assert len({(mark.device, plot._MARKERS[mark.device]) for mark in panels[0].marks}) == 4


def test_bars_reach_from_quartile_to_quartile() -> None:
    (panel,) = plot._panels(build_tables([a_timing("cnn"), a_timing("a", ms=200, step_seconds=[0.1, 0.2, 0.4])]))
    (mark,) = panel.marks
    assert (mark.low, mark.ratio, mark.high) == pytest.approx((1.5, 2.0, 3.0))


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_same_timings_give_the_same_bytes(suffix: str, head: bytes) -> None:
    first = ratio_figure(build_tables(two_devices()), suffix)
    assert first.startswith(head) and first == ratio_figure(build_tables(two_devices()), suffix)


def test_names_from_elsewhere_are_drawn_as_they_are() -> None:
    odd = [a_timing(model, {"device": "cuda", "name": "$x_{$ <b>&\n" + "long" * 80}, name=model) for model in ("cnn", "a")]
    drawn = ratio_figure(build_tables(odd), ".svg")
    assert b"$x_{$ &lt;b&gt;&amp; long" in drawn and b"<b>" not in drawn


def test_other_kinds_of_file_are_one_line() -> None:
    with pytest.raises(RecordError, match=r"a figure is .png, .svg, .pdf, and 'a.jpg' is none of these"):
        check_suffix(Path("a.jpg"))
