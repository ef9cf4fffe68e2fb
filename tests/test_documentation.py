"""The documentation as a web site: it builds without a warning, says what the repository says, and fetches nothing."""

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / name for name in ("README.md", "LEADERBOARD.md", "CONTRIBUTING.md"))]
HINT = "for both: four spaces before what belongs to a list item, an empty line around lists, no | in code in a table"
COUNTED = "p li ul ol table tr th td em strong code pre h1 h2 h3 h4 img details a".split()  # noqa: SIM905


def build(docs, site):
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", docs / "mkdocs.yml", "--site-dir", site]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"NO_MKDOCS_2_WARNING": "1"})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built once, as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Content(HTMLParser):
    """Some HTML's text without spaces, and how often it has each kind of element; what the theme adds left out."""

    def __init__(self, html):
        super().__init__()
        self.text, self.counts, self.added = "", Counter(), False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.added |= "headerlink" in (dict(attributes).get("class") or "")
        self.counts[tag] += tag in COUNTED and not self.added

    def handle_endtag(self, tag):
        self.added &= tag != "a"

    def handle_data(self, text):
        self.text += "" if self.added else "".join(text.split())


def article(site, page):
    name = "overview" if page.name == "README.md" else page.stem.lower()
    html = (site / f"{name}.html").read_text(encoding="utf-8")
    return re.search(r"<article.*?>(.*)</article>", html, re.DOTALL)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_on_the_site_what_it_says_in_the_repository(site, page):
    """Python-Markdown, which builds the site, and CommonMark with tables, which the repository's page is written in."""
    ours = Content(article(site, page))
    theirs = Content(MarkdownIt("commonmark").enable("table").render(page.read_text(encoding="utf-8")))
    assert ours.text == theirs.text, HINT
    assert +ours.counts == +theirs.counts, HINT


def test_every_link_on_the_site_leads_to_a_file(site):
    for page in site.glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#?]*)', page.read_text(encoding="utf-8")):
            there = site / link.lstrip("/").removeprefix("equiscale/") if page.name == "404.html" else page.parent / link
            assert ":" in link or not link or there.exists(), (page.name, link)


def test_the_board_lies_inside(site):
    assert (site / "board" / "leaderboard.html").read_bytes() == (DOCS / "board" / "leaderboard.html").read_bytes()
    front = article(site, DOCS / "index.md")
    assert 'href="board/leaderboard.html"' in front
    assert 'href="leaderboard.html"' in front


def test_nothing_is_fetched_from_elsewhere(site):
    """Neither by a page nor by its styles; links that wait to be clicked are the reader's own business."""
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe|source|video|link)\b[^>]*(?:src|href)="(https?:[^"]*)"[^>]*>', html)
        canonical = re.findall(r'<link rel="(?:canonical|prev|next)" href="([^"]*)"', html)
        assert not set(fetched) - set(canonical), page
        assert 'data-md-component="source"' not in html  # the theme would ask the repository's host for its stars
        assert "mermaid" not in re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)  # it would fetch the program
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_what_is_not_for_readers_is_left_out(site):
    assert not [
        path for path in site.rglob("*") if path.name in ("notes", "__pycache__", "hooks.py", "hooks.html", "files.txt")
    ]


@pytest.mark.parametrize(
    ("link", "source", "leads"),
    [
        ("../README.md#trust", "docs/gpu.md", "overview.md#trust"),
        ("docs/gpu.md#mps", "README.md", "gpu.md#mps"),
        ("../models/cnn.py", "docs/gpu.md", "https://github.com/equiscale/equiscale/blob/HEAD/models/cnn.py"),
        ("../records", "docs/gpu.md", "https://github.com/equiscale/equiscale/tree/HEAD/records"),
        ("notes/performance-history.md", "docs/gpu.md", "https://github.com/equiscale/equiscale/blob/HEAD/docs/notes/performance-history.md"),
        ("../LEADERBOARD.md#beyond", "docs/gpu.md", "leaderboard.md#beyond"),
        ("docs/statistics.md", "LEADERBOARD.md", "statistics.md"),
        ("docs/board", "LEADERBOARD.md", "board/leaderboard.html"),
        ("board", "docs/gpu.md", "board/leaderboard.html"),
        ("bases.svg", "docs/bases.md", "bases.svg"),
        ("#here", "docs/gpu.md", "#here"),
        ("https://example.org/x.md", "docs/gpu.md", "https://example.org/x.md"),
    ],
)  # fmt: skip
def test_links(hooks, link, source, leads):
    there = {f"docs/{path.relative_to(DOCS)}" for path in DOCS.rglob("*") if "notes" not in path.parts}
    assert hooks.target(link, source, there) == leads
    code = f"`[a]({link})`\n\n    [a]({link})\n\n```\n[a]({link})\n```\n"
    assert hooks.rewritten(f"{code}[a]({link})", source, there) == f"{code}[a]({leads})"


def test_a_link_that_leads_nowhere_or_a_page_that_is_nowhere_ends_the_build(hooks, tmp_path):
    """Tried on a small copy with the same settings."""
    for name in ("mkdocs.yml", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in hooks.TOP:
        (tmp_path / name).write_text("# Title\n")
    settings = (tmp_path / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(settings[: settings.index("\nnav:")] + "\nnav: [index.md]\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hooks.py").write_bytes((DOCS / "hooks.py").read_bytes())
    for text, said in (
        ("[a](../nowhere.md)", "docs/index.md: the link ../nowhere.md leads nowhere"),
        ("[a](#nowhere)", "#nowhere"),
        ("# Title", "leaderboard.md"),  # it is in no menu
    ):
        (tmp_path / "docs" / "index.md").write_text(text)
        done = build(tmp_path, tmp_path / "site")
        assert done.returncode != 0
        assert said in done.stderr
