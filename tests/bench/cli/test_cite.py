"""`bench cite`: BibTeX of models and of the suite, without torch; CITATION.cff says what the project says elsewhere."""

import json
import re
import tomllib

import pytest
import yaml
from command_line import ROOT, bench, call

import models
from bench.cli import cite
from bench.machine import source
from leaderboard.board.papers import known_models, papers

# The Citation File Format, version 1.2.0: what a file may hold, and what an author may that is no person.
KEYS = set(
    re.findall(
        r"[\w-]+",
        "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message "
        "preferred-citation references repository repository-artifact repository-code title type url version",
    )
)
ENTITY = set(
    re.findall(
        r"[\w-]+", "address alias city country date-end date-start email fax location name orcid post-code region tel website"
    )
)


def entries(text):
    """The keys of the BibTeX entries, in their order."""
    return re.findall(r"^@\w+\{([\w-]+),$", text, re.MULTILINE)


def said(capsys, *words):
    code, text, errors = call(capsys, "cite", *words)
    assert (code, errors) == (0, [])
    return text


def test_citation_file_is_valid_and_agrees_with_the_project():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= cff.keys() <= KEYS
    assert (cff["cff-version"], cff["type"]) == ("1.2.0", "software")
    assert all({"name"} <= author.keys() <= ENTITY for author in cff["authors"])
    assert cff["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (cff["version"], cff["license"]) == (project["version"], project["license"])
    assert cff["repository-code"] == project["urls"]["Repository"]
    assert cff["url"] == project["urls"]["Homepage"]
    assert all(isinstance(word, str) for word in cff["keywords"])


def test_the_suite_alone(capsys, monkeypatch):
    monkeypatch.setattr(source, "_by_git", lambda root: ("0" * 40, False))
    text = said(capsys)
    assert entries(text) == ["equiscale"]
    assert f"note          = {{Version {source.version()}, commit {'0' * 40}}}" in text
    assert source.repository() in text
    monkeypatch.setattr(source, "commit", lambda: (None, None))
    assert f"note          = {{Version {source.version()}}}" in said(capsys)


def test_a_model_with_what_it_builds_on_and_the_suite(capsys):
    assert entries(said(capsys, "sesn-vector")) == ["sosnovik2020sesn", "equiscale"]
    text = said(capsys, "disco", "sesn-learned")
    assert entries(text) == ["sosnovik2021disco", "sosnovik2020sesn", "zagoruyko2016wide", "basting2024scale", "equiscale"]
    assert papers()["basting2024scale"].bibtex in text
    assert text.startswith("% disco: sosnovik2021disco, sosnovik2020sesn, zagoruyko2016wide\n% sesn-learned: ")
    assert entries(said(capsys, "disco", "--task", "mnist-scale-*")) == ["sosnovik2021disco", "sosnovik2020sesn", "equiscale"]
    assert entries(said(capsys, "cnn", "--task", "stl10+")) == ["zagoruyko2016wide", "equiscale"]
    assert entries(said(capsys, "sesn-basis@basis=fourier-bessel"))[:2] == ["zhu2022scaling", "sosnovik2021how"]


def test_every_model_of_the_suite_can_be_cited(capsys):
    assert known_models() == sorted({model.name for model in models.infos() if model.origin.startswith("models/")})
    cited = json.loads(said(capsys, "*", "--json"))
    assert list(cited["models"]) == known_models()
    assert all(not its[0]["builds_on"] for its in cited["models"].values())


def test_json(capsys):
    document = json.loads(said(capsys, "sesn-b", "--json"))
    assert [(paper["key"], paper["builds_on"]) for paper in document["models"]["sesn-b"]] == [
        ("sosnovik2020sesn", False),
        ("zagoruyko2016wide", True),
    ]
    assert document["models"]["sesn-b"][0]["bibtex"] == papers()["sosnovik2020sesn"].bibtex
    assert document["suite"]["authors"] == ["The equiscale authors"]
    assert json.loads(said(capsys, "--json"))["models"] == {}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sesn-vectr"], r"no paper is known for 'sesn-vectr' \(did you mean 'sesn-vector'\?\); models: cnn, "),
        (["my-*"], r"no paper is known for 'my-\*'; models: "),
        (["cnn", "--task", "mnist"], "unknown task 'mnist'"),
        (["sesn-basis@basis=fourier"], r"'sesn-basis' has no option 'basis=fourier' \(did you mean 'basis=fourier-bessel'\?\)"),
        (["sesn-a@config=28"], "'sesn-a' has no option 'config=28'; it has: none"),
    ],
)
def test_what_is_not_known_is_one_line(capsys, words, line):
    code, text, errors = call(capsys, "cite", *words)
    assert (code, text, len(errors)) == (2, "", 1)
    assert re.search(line, errors[0])


def test_without_torch_and_without_the_file(tmp_path, capsys, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('imported')\n")
    done = bench(tmp_path, "cite", "sesn-*", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setattr(cite, "CITATION", "missing.cff")
    code, _, errors = call(capsys, "cite")
    assert code == 2
    assert "missing.cff is missing; install equiscale again" in errors[0]
