"""Published numbers and the summary of errors."""

import math
import random

import pytest

from leaderboard import RecordError
from leaderboard.board.published import find, load_published
from leaderboard.stats.evidence import summarise

MNIST = ["mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+"]
MNIST_MODELS = [
    "cnn", "sicnn", "si-convnet", "sevf-scalar", "sevf-vector", "dss-scalar", "dss-vector", "ss-cnn", "sesn-scalar",
    "sesn-vector",
]  # fmt: skip
STL_MODELS = ["cnn", "sicnn", "si-convnet", "dss", "ss-cnn", "sesn-a", "sesn-b", "sesn-c"]


def test_the_paper_has_a_number_for_every_model_and_task() -> None:
    expected = {(task, model) for task in MNIST for model in MNIST_MODELS} | {("stl10+", model) for model in STL_MODELS}
    paper = [(p.task, p.model) for p in load_published() if p.kind == "paper"]
    assert len(paper) == len(expected)
    assert set(paper) == expected
    assert len({(p.dataset, p.setting, p.method, p.kind) for p in load_published()}) == len(load_published()) == 94


# Sosnovik et al. 2020, tables of section 5.
@pytest.mark.parametrize(
    ("task", "model", "mean", "std"),
    [
        ("mnist-scale-28", "cnn", 2.56, 0.04),
        ("mnist-scale-28+", "sevf-vector", 2.23, 0.09),
        ("mnist-scale-56", "ss-cnn", 1.84, 0.10),
        ("mnist-scale-56+", "sesn-vector", 1.42, 0.07),
        ("stl10+", "sesn-b", 8.51, None),
        ("stl10+", "cnn", 11.48, None),
    ],
)
def test_find(task: str, model: str, mean: float, std: float | None) -> None:
    found = find(task, model)
    assert found is not None
    assert (found.error_mean, found.error_std) == (mean, std)


def test_find_other_kinds() -> None:
    pooled = find("mnist-scale-28+", "sesn-scalar", kind="reproduction-as-published")
    assert pooled is not None
    assert pooled.error_mean == 1.98
    assert "by mistake" in pooled.label
    plain = find("mnist-scale-28+", "sesn-scalar@config=28", kind="reproduction-split")
    assert plain is not None
    assert "28 model" in plain.setting
    plus = find("mnist-scale-28+", "sesn-scalar", kind="reproduction-split")
    assert plus is not None
    assert "28p model" in plus.setting
    assert find("mnist-scale-28", "my-net") is None
    assert find("mnist-scale-28+", "sesn-scalar@config=28") is None


def test_reproductions_say_where_they_come_from() -> None:
    for result in load_published():
        assert "seed" not in (result.source + result.setting).lower()
        if result.kind.startswith("reproduction"):
            assert "Lukacs & Petrescu, TU Delft CS4240" in result.source
            assert "by mistake" in result.label or "split" in result.label


def test_summarise() -> None:
    summary = summarise([2.0, 2.2, 2.4, 2.6, 2.8, 3.0])
    assert summary.mean == pytest.approx(2.5)
    assert summary.std == pytest.approx(math.sqrt(0.14))
    assert summary.n == 6
    assert summarise([1.5]).std is None
    with pytest.raises(RecordError):
        summarise([])


def test_summarise_does_not_depend_on_the_order() -> None:
    errors = [random.Random(0).random() * 10**n for n in range(-3, 12)]
    expected = summarise(errors)
    for seed in range(50):
        assert summarise(random.Random(seed).sample(errors, len(errors))) == expected
