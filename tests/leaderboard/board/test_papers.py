"""Every model of the suite, and every published number that names one, has its paper; what is said of a paper is said once."""

import re
from pathlib import Path

import pytest

import models
from leaderboard import RecordError
from leaderboard.board.papers import fits, named_in, paper_of, papers, papers_of, parse_papers
from leaderboard.board.published import load_published

ROOT = Path(__file__).parents[3]
ARXIV = re.compile(r"arXiv:? ?(\d{4}\.\d{4,5})")
SUITE = [model for model in models.infos() if model.origin.startswith("models/")]
# A reviewer's word about a paper under review.
NO_PAPER = {"reviewer quote 91.93, OpenReview L0QwnevT0F (re-read: agrees)"}


def with_options(model):
    """A model's name, then with each value of each of its options."""
    values = {(option, value) for option, tasks in model.options.items() for its in tasks.values() for value in its}
    return [model.name, *(f"{model.name}@{option}={value}" for option, value in sorted(values))]


@pytest.mark.parametrize("model", SUITE, ids=lambda model: f"{model.name} {model.tasks[0]}")
def test_every_model_has_its_paper(model):
    for task in model.tasks:
        for name in with_options(model):
            assert paper_of(name, task), (name, task)
            assert papers_of(name, task)[0] == paper_of(name, task)
    said = set(ARXIV.findall(model.paper))
    cited = {paper.arxiv for name in with_options(model) for task in model.tasks for paper in papers_of(name, task)}
    assert said <= cited, model.name
    years = set(re.findall(r"\b((?:19|20)\d\d)\b(?!\.)", model.paper))
    assert years <= {str(paper.year) for name in with_options(model) for paper in papers_of(name)}


def test_no_pattern_is_for_nothing():
    known = {(name, task) for model in SUITE for task in model.tasks for name in with_options(model)}
    for paper in papers().values():
        for pattern in (*paper.models, *paper.used_by):
            assert any(fits(name, task, [pattern]) for name, task in known), (paper.key, pattern)


def test_a_number_of_arxiv_that_the_methods_name_has_a_paper():
    files = [*(ROOT / "models").glob("*.py"), ROOT / "docs" / "methods.md", ROOT / "docs" / "later-methods.md"]
    named = {number for file in files for number in ARXIV.findall(file.read_text(encoding="utf-8"))}
    assert len(named) >= 9
    assert named <= {paper.arxiv for paper in papers().values()}


def test_authors_and_titles_are_those_of_the_methods_own_words():
    """Where a method's docstring quotes a title, or names its authors, the entry says the same."""
    text = " ".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("methods.md", "later-methods.md"))
    text = " ".join(text.split())
    for paper in papers().values():
        if paper.models and paper.title.casefold() in text.casefold():
            before = text[: text.casefold().index(paper.title.casefold())][-160:]
            assert all(author.split()[-1] in before for author in paper.authors[-1:]), (paper.key, before)


@pytest.mark.parametrize("source", sorted({result.source for result in load_published()} - NO_PAPER))
def test_every_published_number_names_its_paper(source):
    assert named_in(source), source


def test_what_a_row_is_of_is_what_its_paper_is_of():
    """A number that is the paper's own stands in the row of a model whose papers include the source."""
    for result in load_published():
        if result.model and result.kind == "other" and result.source not in NO_PAPER:
            assert set(named_in(result.source)) <= set(papers_of(result.model, result.task)), result


def test_options_decide():
    assert paper_of("cnn", "mnist-scale-28").key == paper_of("cnn").key == "sosnovik2020sesn"
    assert paper_of("cnn", "stl10+").key == "zagoruyko2016wide"
    assert paper_of("sesn-basis@basis=bspline", "mnist-scale-56").key == "sosnovik2021how"
    assert paper_of("sesn-basis@upsample=bilinear,basis=fourier-bessel").key == "zhu2022scaling"
    assert [paper.key for paper in papers_of("sesn-vector@pool=average", "mnist-scale-56")] == [
        "sosnovik2020sesn",
        "sosnovik2021disco",
    ]
    assert [paper.key for paper in papers_of("dss", "stl10+")] == ["worrall2019deep", "zagoruyko2016wide"]
    assert paper_of("my-net") is None
    assert papers_of("my-net") == []


def test_bibtex_is_ascii_and_balanced():
    for paper in papers().values():
        text = paper.bibtex
        assert text.isascii() and text.count("{") == text.count("}"), paper.key
        assert text.splitlines()[1 if paper.note else 0] == f"@{paper.type}{{{paper.key},"
        assert paper.arxiv is None or f"eprint        = {{{paper.arxiv}}}" in text
    assert r"Micha{\l} Szmaja" in papers()["sosnovik2020sesn"].bibtex
    assert r"Thadd{\"a}us Wiedemer and Matthias K{\"u}mmerer" in papers()["basting2024scale"].bibtex
    assert papers()["sosnovik2020sesn"].url == "https://arxiv.org/abs/1910.11093"
    assert papers()["sosnovik2020sesn"].label == "Sosnovik et al. 2020"
    assert papers()["worrall2019deep"].label == "Worrall & Welling 2019"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- [", "not valid YAML"),
        ("- {key: a, type: misc, title: x, authors: []}", "authors"),
        ("- {key: a, type: book, title: x, authors: [A]}", "type"),
        ("- {key: a, type: misc, title: x, authors: [A], arxiv: '19.1'}", "arxiv"),
        ("- {key: a, type: misc, title: x, authors: [A], url: 'javascript:x'}", "url"),
        ("- {key: a, type: misc, title: x, authors: [A]}\n- {key: a, type: misc, title: y, authors: [B]}", "stands twice"),
    ],
)
def test_a_wrong_entry_is_one_line(text, said):
    with pytest.raises(RecordError, match=said) as caught:
        parse_papers(text)
    assert "\n" not in str(caught.value)
