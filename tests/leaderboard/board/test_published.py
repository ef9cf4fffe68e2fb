"""Published numbers: what the file holds, and what it may not; and the summary of errors."""

import math
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml
from of_others import of_others

from leaderboard import RecordError
from leaderboard.board import published
from leaderboard.board.published import PublishedResult, find, load_published, parse_published
from leaderboard.stats.evidence import summarise

MNIST = ["mnist-scale-28", "mnist-scale-28+", "mnist-scale-56", "mnist-scale-56+"]
MNIST_MODELS = [
    "cnn", "sicnn", "si-convnet", "sevf-scalar", "sevf-vector", "dss-scalar", "dss-vector", "ss-cnn", "sesn-scalar",
    "sesn-vector",
]  # fmt: skip
STL_MODELS = ["cnn", "sicnn", "si-convnet", "dss", "ss-cnn", "sesn-a", "sesn-b", "sesn-c"]
# Basting and van Gemert 2024: the number for each list of scales, 56 and 56+.
LEARNED = {
    "sesn-learned@learn_min_scale=True": ((1.718, 0.045), (1.442, 0.086)),
    "sesn-learned": ((1.727, 0.086), (1.496, 0.081)),
    "sesn-learned@learn_min_scale=True,mode=spacing": ((1.700, 0.098), (1.501, 0.077)),
    "sesn-learned@mode=spacing": ((1.710, 0.045), (1.501, 0.115)),
    "sesn-learned@mode=direct": ((1.735, 0.060), (1.499, 0.082)),
}
FILE = Path(published.__file__).with_name("published.yaml")
ENTRY = {
    "dataset": "MNIST-scale", "setting": "28x28", "method": "CNN", "error_mean": 2.56, "error_std": 0.04, "params": 494549,
    "source": "a table", "verified": False, "params_verified": True, "task": "mnist-scale-28", "model": "cnn", "kind": "paper",
}  # fmt: skip


def test_the_paper_has_a_number_for_every_model_and_task() -> None:
    expected = {(task, model) for task in MNIST for model in MNIST_MODELS} | {("stl10+", model) for model in STL_MODELS}
    paper = [(p.task, p.model) for p in load_published() if p.kind == "paper"]
    assert len(paper) == len(expected)
    assert set(paper) == expected
    assert len({(p.dataset, p.setting, p.method, p.kind) for p in load_published()}) == len(load_published())


def test_how_many_numbers_there_are_and_their_sums() -> None:
    """By data set, those of our tasks and those of none; a number that is lost, misread or added changes one of these."""
    found: dict[tuple[str, bool], list[float]] = {}
    for p in load_published():
        sums = found.setdefault((p.dataset, p.task is not None), [0, 0.0, 0.0])
        for place, value in enumerate((1, p.error_mean, p.error_std or 0)):
            sums[place] += value
    assert {key: pytest.approx(sums, abs=1e-9) for key, sums in found.items()} == {
        ("MNIST-scale", True): [69, 128.159, 6.505],
        ("STL-10", True): [15, 181.59, 1.66],
        ("MNIST-scale", False): [9, 21.49, 0.88],
        ("Fashion-scale", False): [10, 136.18, 2.14],
        ("RS-MNIST", False): [5, 37.27, 1.07],
        ("MNIST-scale (rahman-yeh)", False): [33, 162.14, 0],
        ("STIR-MNIST (64x64)", False): [44, 963.5, 135.85],
        ("STL10-scale (48-97 px)", False): [8, 352.12, 0],
        ("STL-10", False): [2, 49.31, 1.89],
    }


def test_those_that_were_not_read() -> None:
    every = load_published()
    # 40 + 8 of the SESN paper without SESN's own on MNIST-scale, and DISCO's two: no printed table was within reach.
    unverified = Counter(p.kind for p in every if not p.verified)
    assert unverified == {"paper": 48 - 8, "other": 2}
    assert all("quoted from memory" in p.source for p in every if not p.verified)


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


def other(task: str, model: str) -> PublishedResult:
    found = find(task, model, "other")
    assert found is not None
    assert find(task, model) is None
    return found


def test_later_methods_have_their_own_papers_numbers() -> None:
    disco = [other(task, "disco") for task in ("mnist-scale-56", "mnist-scale-56+", "stl10+")]
    assert [(p.error_mean, p.error_std, p.verified) for p in disco] == [
        (1.52, 0.06, False), (1.35, 0.05, False), (8.07, None, True),
    ]  # fmt: skip
    for model, numbers in LEARNED.items():
        for task, number in zip(MNIST[2:], numbers, strict=True):
            p = other(task, model)
            assert (p.error_mean, p.error_std) == number
            assert p.verified
            assert "seeds 0-4, so n=5" in p.source
    named = {p.model for p in load_published() if p.kind == "other" and p.model}
    assert named == {"disco", *LEARNED}


def test_an_equal_number_that_is_not_independent_verifies_nothing() -> None:
    found = find("mnist-scale-28", "ss-cnn")
    assert found is not None
    assert (found.error_mean, found.error_std, found.verified) == (2.32, 0.15, False)
    assert "takes its SS-CNN row from Zhu et al." in found.source
    assert "not an independent reading" in found.source
    # The number that it equals is there too, where it belongs.
    theirs = [p for p in load_published() if p.method == "SS-CNN" and p.setting.endswith("runs of Zhu et al. 2022")]
    assert [(p.dataset, p.error_mean, p.verified, p.task) for p in theirs] == [
        ("MNIST-scale", 2.32, True, None), ("Fashion-scale", 14.61, True, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "words", "count"),
    [
        ("SESN Vector", "stated there to be taken from the SESN paper: agrees", 1),
        ("DISCO", "re-read: agrees", 1),
        ("WRN-16-8 (e2cnn baseline)", "second source: table on sotaverified.org", 1),
        ("Fourier CNN", "second OCR of the same poster and the OpenReview thread of the paper: agrees", 1),
    ],
)
def test_confirmed_numbers_say_by_what(method: str, words: str, count: int) -> None:
    found = [p for p in load_published() if p.method == method and words in p.source]
    assert len(found) == count
    assert all(p.verified for p in found)


def test_invariants_are_of_their_authors_own_sets() -> None:
    found = [p for p in load_published() if p.method in ("InvarLayer", "InvarPDEs-Net")]
    assert len(found) == 6
    assert all(p.task is None and p.model is None for p in found)
    assert {p.params for p in found if p.dataset == "MNIST-scale"} == {485991, 484330}


def test_reproductions_say_where_they_come_from() -> None:
    for result in load_published():
        if result.kind.startswith("reproduction"):
            assert "seed" not in (result.source + result.setting).lower()
            assert "Lukacs & Petrescu, TU Delft CS4240" in result.source
            assert "by mistake" in result.label or "split" in result.label


def test_the_numbers_are_those_that_were_read() -> None:
    """Against the list of what was read in which source, where that is at hand: every field but our names and the words."""
    file = of_others("published_more.yaml")
    ours = {(p.dataset, p.setting, p.method, p.kind): p for p in load_published()}
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert len(read) == 125
    for entry in read:
        p = ours[tuple(entry[key] for key in ("dataset", "setting", "method", "kind"))]
        assert p.model_dump(include=entry.keys() - {"source"}) == {key: entry[key] for key in entry if key != "source"}
        assert p.source[:40] == entry["source"][:40]


def test_the_file_is_as_yaml_writes_it() -> None:
    """So no key stands twice, no number is text, and a change of one number is a change of one line."""
    text = FILE.read_text(encoding="utf-8")
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    assert yaml.safe_dump(yaml.safe_load(text), sort_keys=False, width=1e9, allow_unicode=True) == body


def text_of(**changes: object) -> str:
    entry = {name: value for name, value in (ENTRY | changes).items() if value != "left out"}
    return yaml.safe_dump([ENTRY | {"method": "SiCNN", "model": "sicnn"}, entry])


def test_numbers_are_shown_with_the_digits_that_were_published() -> None:
    (_, found) = parse_published(text_of(verified=True))
    assert found.text == "2.56 ± 0.04"
    (_, found) = parse_published(text_of(error_std=0.045))
    assert found.text == "2.560 ± 0.045 †"
    (_, found) = parse_published(text_of(error_mean=8.1, error_std=None))
    assert found.text == "8.10 †"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"error_mean": "2.56"}, "entry 2 (CNN, 28x28): error_mean: Input should be a valid number"),
        ({"error_mean": 97.68e2}, "error_mean: Input should be less than 100"),
        ({"error_mean": 0.0}, "error_mean: Input should be greater than 0"),
        ({"error_mean": float("nan")}, "error_mean: Input should be"),
        ({"error_std": -0.1}, "error_std: Input should be greater than or equal to 0"),
        ({"error_std": "left out"}, "error_std: Field required"),
        ({"params": 494549.0}, "params: Input should be a valid integer"),
        ({"params": None}, "params_verified without params"),
        ({"verified": "no"}, "verified: Input should be a valid boolean"),
        ({"source": " "}, "source: String should match pattern"),
        ({"kind": "papers"}, "kind: Input should be 'paper', 'reproduction-as-published', 'reproduction-split' or 'other'"),
        ({"runs": 6}, "runs: Extra inputs are not permitted"),
        ({"task": "left out"}, "a model without a task: name the board's task, or leave both out"),
        ({"model": "left out"}, "kind paper without task and model of the board: name both, or use kind other"),
        ({"method": "SiCNN"}, "MNIST-scale, 28x28, SiCNN, paper stands twice; keep one entry"),
        ({"model": "sicnn", "kind": "other"}, "mnist-scale-28, sicnn, number stands twice; keep one entry"),
    ],
)
def test_what_the_file_may_not_hold(changes: dict[str, object], said: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_published(text_of(**changes))
    assert str(error.value).startswith("published numbers")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a: [", "not valid YAML"), ("dataset: x", "give a list of entries"), ("", "give a list"), ("- 1", "entry 1:")],
)
def test_what_is_no_list_of_entries(text: str, said: str) -> None:
    with pytest.raises(RecordError, match=said) as error:
        parse_published(text)
    assert "\n" not in str(error.value)


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
